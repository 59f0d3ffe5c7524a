// The kernels for AVX2 and fused multiply-add.
#define FORETELL_VARIANT avx2
#include "kernels.h"
