// The kernels of bfloat16 for AVX-512 with dot products of it; for other numbers those of avx512 are the best.
#define FORETELL_VARIANT avx512_bf16
#define FORETELL_BFLOAT16
#include "kernels.h"
