// The kernels of bfloat16 for a unit that multiplies matrices of it (AMX), beside AVX-512.
#define FORETELL_VARIANT amx
#define FORETELL_BFLOAT16
#define FORETELL_MATRICES
#include "kernels.h"
