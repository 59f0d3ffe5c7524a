// The kernels of one instruction set.  Each variant's file defines FORETELL_VARIANT and includes this.
#include "backward.h"
#include "encode.h"
#include "forward.h"
#include "head.h"

namespace foretell::FORETELL_VARIANT {

template <class Real>
constexpr Kernels<Real> all_kernels = {
    lanes<Real>,
    [](const Cell& cell) { return Packed<Real>(cell, nullptr).size; },
    pack_weights<Real>,
    [](const Forward<Real>& layer) {
      const Index pairs = layer.rows.first[layer.rows.time];
      return Computed<Real>(layer.cell, layer.hidden_mask != nullptr, true, pairs, nullptr).size;
    },
    [](const Forward<Real>& layer) { return ForwardRun<Real>(layer, nullptr, {}, {}).size; },
    [](const Forward<Real>& layer, const Real* packed, Scratch<Real> scratch, const Team& team) {
      ForwardRun<Real>(layer, packed, scratch, team).run();
    },
    [](const Backward<Real>& layer) { return BackwardRun<Real>(layer, {}, {}).size; },
    [](const Backward<Real>& layer, Scratch<Real> scratch, const Team& team) {
      BackwardRun<Real>(layer, scratch, team).run();
    },
    &head_kernels<Real>,
    &encode_kernels<Real>,
};

extern const Kernels<float> float_kernels;
extern const Kernels<double> double_kernels;
const Kernels<float> float_kernels = all_kernels<float>;
const Kernels<double> double_kernels = all_kernels<double>;

}  // namespace foretell::FORETELL_VARIANT
