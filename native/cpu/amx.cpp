// The kernels of bfloat16, and a backward pass of floats, for a unit that multiplies matrices (AMX), beside AVX-512.
#define FORETELL_VARIANT amx
#define FORETELL_BFLOAT16
#define FORETELL_MATRICES
#include "kernels.h"
