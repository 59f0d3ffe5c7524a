// The kernels of one instruction set.  Each variant's file defines FORETELL_VARIANT and includes this; one that has
// kernels of bfloat16, and no others, defines FORETELL_BFLOAT16 too.  If a unit for matrices multiplies there it defines
// FORETELL_MATRICES, and has a backward pass of floats besides.
#include "backward.h"
#include "forward.h"
#if !defined(FORETELL_BFLOAT16)
#include "adamw.h"
#include "encode.h"
#include "head.h"
#endif

namespace foretell::FORETELL_VARIANT {

#if !defined(FORETELL_MATRICES)
struct MatrixUnit {
  MatrixUnit() {}  // there is nothing to make ready
};
#endif

// `copies_gates`: for backward, whose left side they are.
template <class Number>
constexpr ProductCost product_cost(bool copies_gates) {
  // A matrix's product takes 16 cycles, for which it has 16 factors; of numbers in three pieces there are six.
  constexpr int products = pieces<Number> == 3 ? 6 : 1;
  return {
      lanes<Wide<Number>>,
      has_matrices ? matrix_rows : max_rows,
      has_matrices ? 4.0 * products : 0.0,
      together<Number>,
      Index(sizeof(Factor<Number>)),
      copies_gates,
  };
}

template <class Number>
constexpr BackwardPass<Number> backward_pass = {
    [](const Backward<Number>&) { return product_cost<Number>(has_matrices); },
    [](const Backward<Number>& layer, const Team& team) { return BackwardRun<Number>(layer, {}, team).size; },
    [](const Backward<Number>& layer, Scratch<Wide<Number>> scratch, const Team& team) {
      const MatrixUnit unit;
      BackwardRun<Number>(layer, scratch, team).run();
    },
};

template <class Number>
constexpr Kernels<Number> make_kernels(const HeadKernels<Wide<Number>>* head,
                                       const EncodeKernels<Wide<Number>>* encode,
                                       const AdamWKernels<Wide<Number>>* adamw) {
  using Real = Wide<Number>;
  return {
      product_cost<Number>(false),
      [](const Cell& cell) { return Packed<Number>(cell, nullptr).size; },
      pack_weights<Number>,
      [](const Forward<Number>& layer) {
        const Index pairs = layer.rows.first[layer.rows.time];
        return Computed<Number>(layer.cell, layer.hidden_mask != nullptr, true, pairs, nullptr).size;
      },
      [](const Forward<Number>& layer, const Team& team) { return ForwardRun<Number>(layer, nullptr, {}, team).size; },
      [](const Forward<Number>& layer, const Real* packed, Scratch<Real> scratch, const Team& team) {
        const MatrixUnit unit;
        ForwardRun<Number>(layer, packed, scratch, team).run();
      },
      backward_pass<Number>,
      head,
      encode,
      adamw,
  };
}

#if defined(FORETELL_MATRICES)
extern const BackwardPass<float> float_backward;
const BackwardPass<float> float_backward = backward_pass<float>;
#endif
#if defined(FORETELL_BFLOAT16)
extern const Kernels<BFloat16> bfloat16_kernels;
const Kernels<BFloat16> bfloat16_kernels = make_kernels<BFloat16>(nullptr, nullptr, nullptr);
#else
extern const Kernels<float> float_kernels;
extern const Kernels<double> double_kernels;
const Kernels<float> float_kernels =
    make_kernels<float>(&head_kernels<float>, &encode_kernels<float>, &adamw_kernels<float>);
const Kernels<double> double_kernels =
    make_kernels<double>(&head_kernels<double>, &encode_kernels<double>, &adamw_kernels<double>);
#endif

}  // namespace foretell::FORETELL_VARIANT
