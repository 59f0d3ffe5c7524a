// The kernels for NEON, which every 64-bit Arm has.
#define FORETELL_VARIANT neon
#include "kernels.h"
