// The kernels for AVX-512.
#define FORETELL_VARIANT avx512
#include "kernels.h"
