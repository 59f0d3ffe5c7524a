// Products by a unit that multiplies matrices of bfloat16 (Intel's AMX): 16 rows of 32 numbers with 32 rows of 16.
//
// It has eight registers for matrices of 16 rows of 64 bytes.  A sum's order depends on the depth of the product alone,
// so that its bits do not depend on batch, threads or chunks.
#pragma once

#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

constexpr int matrix_rows = max_rows;
constexpr Index matrix_bytes = matrix_rows * cache_line;

// `MatrixUnit` makes the unit ready while it lives; then it is as another library may have left it.
#if defined(FORETELL_EMULATE_MATRICES)

// For sanitizers, which do not see what the unit reads and writes, and then also on CPUs without it.
struct MatrixUnit {
  MatrixUnit() {}
};

inline thread_local Vec<float> emulated[8][matrix_rows];

template <int TO>
inline void load_matrix(const void* from, Index row_bytes = cache_line) {
  for (Index r = 0; r < matrix_rows; ++r) {
    emulated[TO][r] = load(reinterpret_cast<const float*>(static_cast<const char*>(from) + r * row_bytes));
  }
}
template <int FROM>
inline void store_matrix(void* to, Index row_bytes = cache_line) {
  for (Index r = 0; r < matrix_rows; ++r) {
    store(reinterpret_cast<float*>(static_cast<char*>(to) + r * row_bytes), emulated[FROM][r]);
  }
}
template <int TO>
inline void clear_matrix() {
  for (Vec<float>& row : emulated[TO]) row = Vec<float>{};
}
// to += a b: the products of the first of all pairs, those of the second, and then both sums.
template <int TO, int A, int B>
inline void multiply_matrices() {
  using Bits = typename Simd<float>::Mask;
  for (int r = 0; r < matrix_rows; ++r) {
    const Bits pairs = (Bits)emulated[A][r];
    Vec<float> first{}, second{};
    for (int k = 0; k < matrix_rows; ++k) {
      const Bits a = Bits{} + pairs[k], b = (Bits)emulated[B][k];
      constexpr int upper = ~0xffff;
      first = fma((Vec<float>)(a << 16), (Vec<float>)(b << 16), first);
      second = fma((Vec<float>)(a & upper), (Vec<float>)(b & upper), second);
    }
    emulated[TO][r] += first + second;
  }
}

#else

class MatrixUnit {
 public:
  MatrixUnit() {
    asm volatile("sttilecfg %0" : "=m"(before_));
    Configuration all;
    for (int n = 0; n < 8; ++n) {
      all.rows[n] = matrix_rows;
      all.row_bytes[n] = cache_line;
    }
    load(all);
  }
  ~MatrixUnit() { load(before_); }
  MatrixUnit(const MatrixUnit&) = delete;

 private:
  struct Configuration {
    std::uint8_t palette = 1, start = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
  };
  static void load(const Configuration& configuration) { asm volatile("ldtilecfg %0" : : "m"(configuration)); }

  Configuration before_;
};

template <int TO>
inline void load_matrix(const void* from, Index row_bytes = cache_line) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(row_bytes), "i"(TO));
}
template <int FROM>
inline void store_matrix(void* to, Index row_bytes = cache_line) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(row_bytes), "i"(FROM) : "memory");
}
template <int TO>
inline void clear_matrix() {
  asm volatile("tilezero %%tmm%c0" : : "i"(TO));
}
// to += a b, by pairs of numbers.
template <int TO, int A, int B>
inline void multiply_matrices() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(TO), "i"(A), "i"(B));
}
#endif

// All that was written is in memory before matrices are loaded, of which the compiler knows nothing.
inline void settle_memory() { asm volatile("" : : : "memory"); }

// 16 rows of factors, in bytes from one to the next, and from 16 factors to the next 16: `length` of these follow each
// other, then there is a larger step.
struct MatrixRows {
  const char* first;
  Index row, length, segment;
};

// to[r][v] = from[r][v] + the product of row r with vector v of a panel, over 16 `units` factors.
template <int VECTORS>
inline void row_product_of(const MatrixRows& a, int rows, Index units, const Pair* panel, const Sums<float>& sums) {
  const char* b = reinterpret_cast<const char*>(panel);
  const char* segment = a.first;
  settle_memory();
  clear_matrix<0>();
  clear_matrix<1>();
  clear_matrix<2>();
  clear_matrix<3>();
  for (Index done = 0; done < units; segment += a.segment) {
    const char* from = segment;
    for (Index n = 0; n < a.length && done < units; ++n, ++done, from += cache_line, b += VECTORS * matrix_bytes) {
      load_matrix<4>(from, a.row);
      load_matrix<5>(b);
      multiply_matrices<0, 4, 5>();
      if constexpr (VECTORS > 1) {
        load_matrix<6>(b + matrix_bytes);
        multiply_matrices<1, 4, 6>();
      }
      if constexpr (VECTORS > 2) {
        load_matrix<7>(b + 2 * matrix_bytes);
        multiply_matrices<2, 4, 7>();
      }
      if constexpr (VECTORS > 3) {
        load_matrix<5>(b + 3 * matrix_bytes);
        multiply_matrices<3, 4, 5>();
      }
    }
  }
  alignas(cache_line) float totals[4][matrix_rows][matrix_rows];
  store_matrix<0>(totals[0]);
  if constexpr (VECTORS > 1) store_matrix<1>(totals[1]);
  if constexpr (VECTORS > 2) store_matrix<2>(totals[2]);
  if constexpr (VECTORS > 3) store_matrix<3>(totals[3]);
  for (int r = 0; r < rows; ++r) {
    FORETELL_UNROLL for (int v = 0; v < VECTORS; ++v) {
      const Index where = v * matrix_rows;
      store(sums.to[r] + where, load(sums.from[r] + where) + load(totals[v][r]));
    }
  }
}

inline void row_product(const MatrixRows& a, int rows, Index units, const Pair* panel, int vectors,
                        const Sums<float>& sums) {
  if (vectors == 4) return row_product_of<4>(a, rows, units, panel, sums);
  if (vectors == 3) return row_product_of<3>(a, rows, units, panel, sums);
  if (vectors == 2) return row_product_of<2>(a, rows, units, panel, sums);
  row_product_of<1>(a, rows, units, panel, sums);
}

// c[16 l + r][16 v + n] += the product of row r of matrix l with vector v, over 16 `units` factors; LINES and VECTORS
// are 1 or 2.  The matrices on the left lie one after the other, [LINES][units].
template <int LINES, int VECTORS>
inline void column_product(const char* a, const char* b, Index b_unit, Index units, float* c, Index c_row) {
  const Index line = units * matrix_bytes, row_bytes = c_row * Index(sizeof(float));
  float* const below = c + matrix_rows * c_row;
  load_matrix<0>(c, row_bytes);
  if constexpr (VECTORS == 2) load_matrix<1>(c + matrix_rows, row_bytes);
  if constexpr (LINES == 2) load_matrix<2>(below, row_bytes);
  if constexpr (LINES == 2 && VECTORS == 2) load_matrix<3>(below + matrix_rows, row_bytes);
  for (Index n = 0; n < units; ++n, a += matrix_bytes, b += b_unit) {
    load_matrix<4>(a);
    load_matrix<6>(b);
    multiply_matrices<0, 4, 6>();
    if constexpr (VECTORS == 2) {
      load_matrix<7>(b + matrix_bytes);
      multiply_matrices<1, 4, 7>();
    }
    if constexpr (LINES == 2) {
      load_matrix<5>(a + line);
      multiply_matrices<2, 5, 6>();
    }
    if constexpr (LINES == 2 && VECTORS == 2) multiply_matrices<3, 5, 7>();
  }
  store_matrix<0>(c, row_bytes);
  if constexpr (VECTORS == 2) store_matrix<1>(c + matrix_rows, row_bytes);
  if constexpr (LINES == 2) store_matrix<2>(below, row_bytes);
  if constexpr (LINES == 2 && VECTORS == 2) store_matrix<3>(below + matrix_rows, row_bytes);
}

}  // namespace foretell::FORETELL_VARIANT
