// Products by a unit that multiplies matrices of bfloat16 (Intel's AMX): 16 rows of 32 numbers with 32 rows of 16.
//
// It has eight registers for matrices of 16 rows of 64 bytes: sums are in 0 to 3, what is multiplied in 4 to 7.  A
// sum's order depends on the depth of the product alone, so that its bits do not depend on batch, threads or chunks.
#pragma once

#include <utility>

#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

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

// Rows of factors, in bytes from one to the next; `length` times 16 factors of a row follow each other, then there is a
// larger step.
struct MatrixRows {
  const char* first;
  Index row, length, segment;
};

// each(constant), for the numbers from 0 to COUNT - 1.
template <int COUNT, class Function>
[[gnu::always_inline]] inline void for_each(const Function& each) {
  [&]<int... N>(std::integer_sequence<int, N...>) __attribute__((always_inline)) {
    (each(std::integral_constant<int, N>()), ...);
  }(std::make_integer_sequence<int, COUNT>());
}

// Sums 0 to VECTORS - 1 += the products of the left side's pieces LEFT, of which there are P in registers from 4 on,
// with the same piece of up to four vectors.
template <int P, int VECTORS, int... LEFT>
[[gnu::always_inline]] inline void meet(const char* piece) {
  for_each<VECTORS>([&](auto v) __attribute__((always_inline)) {
    constexpr int right = 4 + P + v % (4 - P);  // the registers that are left take turns
    load_matrix<right>(piece + v * matrix_bytes);
    (multiply_matrices<v, 4 + LEFT, right>(), ...);
  });
}

// 16 factors of 16 rows with up to four vectors of a panel.  Of numbers in three pieces the small products come first.
template <class Number, int VECTORS>
[[gnu::always_inline]] inline void add_row(const char* a, Index a_row, const char* b) {
  constexpr int P = pieces<Number>;
  constexpr Index piece = VECTORS * matrix_bytes;
  for_each<P>([&](auto p) __attribute__((always_inline)) { load_matrix<4 + p>(a + p * cache_line, a_row); });
  if constexpr (P == 3) {
    meet<P, VECTORS, 0>(b + 2 * piece);
    meet<P, VECTORS, 0, 1>(b + piece);
    meet<P, VECTORS, 1, 2, 0>(b);
  } else {
    meet<P, VECTORS, 0>(b);
  }
}

// A side of a square of products: where its first matrix is, and the bytes from row to row, to the next matrix of the
// same piece and to the next piece.
struct Side {
  const char* first;
  Index row, beside, piece;
};

// Sum 2 l + v += the product of matrix l on the left with matrix v on the right, in the order of `add_row`; LINES and
// VECTORS are 1 or 2.
template <class Number, int LINES, int VECTORS>
[[gnu::always_inline]] inline void add_square(const Side& a, const Side& b) {
  const auto load_a = [&](int p) __attribute__((always_inline)) {
    load_matrix<4>(a.first + p * a.piece, a.row);
    if constexpr (LINES == 2) load_matrix<5>(a.first + p * a.piece + a.beside, a.row);
  };
  const auto load_b = [&](int p) __attribute__((always_inline)) {
    load_matrix<6>(b.first + p * b.piece, b.row);
    if constexpr (VECTORS == 2) load_matrix<7>(b.first + p * b.piece + b.beside, b.row);
  };
  const auto add = []() __attribute__((always_inline)) {
    multiply_matrices<0, 4, 6>();
    if constexpr (VECTORS == 2) multiply_matrices<1, 4, 7>();
    if constexpr (LINES == 2) multiply_matrices<2, 5, 6>();
    if constexpr (LINES == 2 && VECTORS == 2) multiply_matrices<3, 5, 7>();
  };
  load_a(0);
  if constexpr (pieces<Number> == 3) {
    load_b(2);
    add();
    load_b(1);
    add();
    load_a(1);
    add();
    load_b(0);
    add();
    load_a(2);
    add();
    load_a(0);
  } else {
    load_b(0);
  }
  add();
}

// Goes through `units` times 16 factors: add(a, n).
template <class Number, class Function>
[[gnu::always_inline]] inline void add_units(const MatrixRows& a, Index units, const Function& add) {
  for_each<4>([](auto n) { clear_matrix<n>(); });
  const char* segment = a.first;
  for (Index done = 0; done < units; segment += a.segment) {
    const char* from = segment;
    for (Index n = 0; n < a.length && done < units; ++n, ++done, from += pieces<Number> * cache_line) add(from, done);
  }
}

// to[r][v] = from[r][v] + totals[v][r], for vectors from `first` on.
template <int VECTORS>
[[gnu::always_inline]] inline void add_totals(int rows, int first, const float (*totals)[matrix_rows][matrix_rows],
                                              const Sums<float>& sums) {
  for (int r = 0; r < rows; ++r) {
    FORETELL_UNROLL for (int v = 0; v < VECTORS; ++v) {
      const Index where = (first + v) * matrix_rows;
      store(sums.to[r] + where, load(sums.from[r] + where) + load(totals[v][r]));
    }
  }
}

// to[r][v] = from[r][v] + the product of row r with vector v of a panel, over 16 `units` factors.  Up to 16 rows meet
// all vectors at once; more meet two at a time, so that each matrix that is loaded takes part in two products.
template <class Number, int VECTORS>
inline void row_product_of(const MatrixRows& a, int rows, Index units, const Factor<Number>* panel,
                           const Sums<float>& sums) {
  constexpr Index piece = VECTORS * matrix_bytes, unit = pieces<Number> * piece;
  const char* b = reinterpret_cast<const char*>(panel);
  alignas(cache_line) float totals[4][matrix_rows][matrix_rows];
  const auto store_totals = [&]() __attribute__((always_inline)) {
    for_each<4>([&](auto n) { store_matrix<n>(totals[n]); });
  };
  settle_memory();
  if (rows <= matrix_rows) {
    add_units<Number>(a, units, [&](const char* from, Index n) __attribute__((always_inline)) {
      add_row<Number, VECTORS>(from, a.row, b + n * unit);
    });
    store_totals();
    return add_totals<VECTORS>(rows, 0, totals, sums);
  }
  for_each<(VECTORS + 1) / 2>([&](auto pair) {
    constexpr int first = 2 * pair, count = VECTORS - first < 2 ? 1 : 2;
    add_units<Number>(a, units, [&](const char* from, Index n) __attribute__((always_inline)) {
      const Side left{from, a.row, matrix_rows * a.row, cache_line};
      const Side right{b + n * unit + first * matrix_bytes, cache_line, matrix_bytes, piece};
      add_square<Number, 2, count>(left, right);
    });
    store_totals();
    add_totals<count>(matrix_rows, first, totals, sums);
    add_totals<count>(rows - matrix_rows, first, totals + 2, {sums.from + matrix_rows, sums.to + matrix_rows});
  });
}

template <class Number>
void row_product(const MatrixRows& a, int rows, Index units, const Factor<Number>* panel, int vectors,
                 const Sums<float>& sums) {
  if (vectors == 4) return row_product_of<Number, 4>(a, rows, units, panel, sums);
  if (vectors == 3) return row_product_of<Number, 3>(a, rows, units, panel, sums);
  if (vectors == 2) return row_product_of<Number, 2>(a, rows, units, panel, sums);
  row_product_of<Number, 1>(a, rows, units, panel, sums);
}

// c[16 l + r][16 v + n] += the product of row r of matrix l with vector v, over 16 `units` factors; LINES and VECTORS
// are 1 or 2.  The matrices on the left lie one after the other, [LINES][units][pieces].  Floats begin with 0 and are
// added at the end, for a large sum would round each of their many small products; bfloat16 is not that exact.
template <class Number, int LINES, int VECTORS>
inline void column_product(const char* a, const char* b, int b_vectors, Index units, float* c, Index c_row) {
  constexpr bool adds_up = pieces<Number> == 1;
  constexpr Index unit = pieces<Number> * matrix_bytes;
  const auto for_sums = [&](const auto& each) __attribute__((always_inline)) {  // each(register, where its sums begin)
    for_each<LINES * VECTORS>([&](auto n) __attribute__((always_inline)) {
      constexpr int line = n / VECTORS, vector = n % VECTORS;
      each(std::integral_constant<int, 2 * line + vector>(), c + (line * c_row + vector) * matrix_rows);
    });
  };
  for_sums([&](auto sum, float* to) __attribute__((always_inline)) {
    if constexpr (adds_up) load_matrix<sum>(to, c_row * Index(sizeof(float)));
    else clear_matrix<sum>();
  });
  for (Index n = 0; n < units; ++n) {
    const Side left{a + n * unit, cache_line, units * unit, matrix_bytes};
    const Side right{b + n * b_vectors * unit, cache_line, matrix_bytes, b_vectors * matrix_bytes};
    add_square<Number, LINES, VECTORS>(left, right);
  }
  alignas(cache_line) float totals[4][matrix_rows][matrix_rows];
  for_sums([&](auto sum, float* to) __attribute__((always_inline)) {
    if constexpr (adds_up) store_matrix<sum>(to, c_row * Index(sizeof(float)));
    else store_matrix<sum>(totals[sum]);
  });
  if constexpr (adds_up) return;
  for_sums([&](auto sum, float* to) __attribute__((always_inline)) {
    for (Index r = 0; r < matrix_rows; ++r, to += c_row) store(to, load(to) + load(totals[sum][r]));
  });
}

}  // namespace foretell::FORETELL_VARIANT
