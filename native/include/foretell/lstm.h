// One layer of an LSTM over a sequence, in one direction: forward, backward and what they need.
//
// Sizes: T time, B batch, I input, H hidden (cells), R outputs (H, or the size of the projection), G blocks of H
// rows in the weights, n gates with weights of their own.  The blocks come in torch's order i, f, g, o; a gate that
// is off, or f when coupled to i, has none.  The equations are those of src/foretell/lstm/definition.py.
//
// The rows of a batch come sorted by length, longest first, so that those alive at a step are the first ones, and a
// pair (step, row) has the number first[t] + row, as in torch's PackedSequence; N is the number of all pairs.
// All pointers may be unaligned; features are contiguous; strides count elements.  Beyond a row's length activity and,
// unless packed, y and dx become 0.
#pragma once

#include <cstdint>

namespace foretell {

using Index = std::int64_t;

// The upper half of a float.
struct BFloat16 {
  std::uint16_t bits;
};

// A layer's Number is the type of its inputs and outputs, and what its products multiply; all else, sums, cells and
// weights among it, is of this type.
template <class Number>
struct WideOf {
  using Type = Number;
};
template <>
struct WideOf<BFloat16> {
  using Type = float;
};
template <class Number>
using Wide = typename WideOf<Number>::Type;

class Barrier;
class Progress;

// Which LSTM.
struct Cell {
  Index inputs = 0, hidden = 0, outputs = 0;  // I, H, R
  bool input_gate = true, forget_gate = true, output_gate = true, coupled = false;
  bool input_activation = true, output_activation = true;
  bool peepholes = false, gate_recurrence = false, layer_norm = false, projection = false;
  double zoneout_h = 0, zoneout_c = 0;
  bool draws = false;  // zoneout draws 0 or 1 (training); else it takes its expected value
};

// The parameters of a layer in one direction, or their gradients; null where there is none.
template <class Real>
struct Parameters {
  Real* weight_ih = nullptr;    // [GH,I]
  Real* weight_hh = nullptr;    // [GH,R]
  Real* bias_ih = nullptr;      // [GH]
  Real* bias_hh = nullptr;      // [GH]
  Real* weight_hr = nullptr;    // [R,H]
  Real* peephole = nullptr;     // [nH]
  Real* weight_gate = nullptr;  // [nH,nH]
  Real* norm_ih = nullptr;      // [GH]
  Real* norm_hh = nullptr;      // [GH]
  Real* norm_c = nullptr;       // [H]
  Real* bias_c = nullptr;       // [H]
};

// A state of every row, dense; or its gradient; or null.  Rows in the caller's order.
template <class Real>
struct State {
  Real* h = nullptr;      // [B,R]
  Real* c = nullptr;      // [B,H]
  Real* gates = nullptr;  // [B,nH], with gate recurrence
};

// [T,B,features], or with packed rows [N,features] and `time` unused.
template <class Real>
struct Sequence {
  Real* data = nullptr;
  Index time = 0, row = 0;  // strides
};

// Which rows are alive at which step.
struct Rows {
  Index time = 0, batch = 0;
  const Index* first = nullptr;  // [T+1], first[t+1] - first[t] rows are alive at t, never more than at t - 1
  const Index* order = nullptr;  // [B], the caller's row for each sorted one; null if the order is the same
  bool packed = false;           // sequences are laid out by number
};

template <class Number>
struct Forward {
  using Real = Wide<Number>;

  Cell cell;
  Rows rows;
  bool reverse = false;                // run from each row's end to its beginning
  const std::uint8_t* reset = nullptr; // [T,B] dense: a new sequence begins at this step
  std::uint64_t seed = 0;              // of the zoneout masks
  Index sequence = 0;                  // layer * directions + direction, the same
  Index first_step = 0;                // how many steps came before, the same
  const Index* ends = nullptr;         // [B], the same: of rows turned around, how long they are as a whole; or null
  Sequence<const Number> x;            // I features
  Parameters<const Real> weights;
  const Real* hidden_mask = nullptr;   // [B,R], locked dropout of h on its way into the gates
  State<const Real> initial, start;    // start: what a reset goes back to
  Sequence<Number> y;                  // R features
  State<Real> final;
  Real* saved = nullptr;               // saved_size() numbers that backward needs; null: inference
  Real* activity[5] = {};              // i, f, g, o, c, each [T,B,H] dense; or null
};

template <class Number>
struct Backward {
  using Real = Wide<Number>;

  Forward<Number> forward;             // as it was called
  Sequence<const Number> dy;           // R features; null: zero
  State<const Real> dfinal;            // null: zero
  Sequence<Number> dx;                 // I features; null: not wanted, as below
  Index data_begin = 0, data_end = 0;  // the features between are data: their gradient is not wanted, and 0
  State<Real> dinitial, dstart;
  Parameters<Real> dweights;           // weights whose gradient is wanted
};

// How threads share one direction: by rows of the batch, or by hidden units, meeting once a step.
enum class Split { rows, units };

// A layer that runs at the same time as the one it reads from (in backward: the one above), a few steps behind it.
struct Wave {
  Index slice = 0;                   // steps from report to report; 0: a layer by itself
  const Progress* before = nullptr;  // of the layer it reads from; null: all is there
  Progress* own = nullptr;
};

// The threads that work on one direction together; in a wave a single one.
struct Team {
  int member = 0, members = 1;
  Barrier* barrier = nullptr;
  Split split = Split::rows;
  Wave wave = {};
};

// Memory for a run, in numbers of type Real: what a team shares, and what each member has besides, whichever of the
// team it is.
struct ScratchSize {
  Index shared, own;
};
template <class Real>
struct Scratch {
  Real *shared, *own;
};

template <class Real>
struct HeadKernels;  // foretell/head.h
template <class Real>
struct EncodeKernels;  // foretell/encode.h
template <class Real>
struct AdamWKernels;  // foretell/adamw.h

// What the products of a pass take, for those who plan it.
struct ProductCost {
  Index lanes, tile_rows;  // numbers in a vector; rows of a tile at most
  double tile_cycles;      // of a tile times four vectors for each factor, if they do not depend on its rows; else 0
  Index together, bytes;   // numbers of a factor, and its bytes
  bool copies_gates;       // do members that share units copy each other's gates at every step?
};

// A backward pass over a layer, of which an instruction set may have more than one.
template <class Number>
struct BackwardPass {
  ProductCost (*cost)(const Backward<Number>&);
  ScratchSize (*scratch)(const Backward<Number>&, const Team&);
  void (*run)(const Backward<Number>&, Scratch<Wide<Number>>, const Team&);
};

// The kernels of one instruction set.  Buffers are aligned to 64 bytes, and their sizes are in numbers of type Real.
template <class Number>
struct Kernels {
  using Real = Wide<Number>;

  ProductCost cost;                   // of forward
  Index (*packed_size)(const Cell&);  // of the weights, ready for forward
  void (*pack)(const Cell&, const Parameters<const Real>&, Real* packed, const Team&);
  Index (*saved_size)(const Forward<Number>&);
  ScratchSize (*forward_scratch)(const Forward<Number>&, const Team&);
  void (*forward)(const Forward<Number>&, const Real* packed, Scratch<Real>, const Team&);
  BackwardPass<Number> backward;
  const HeadKernels<Real>* head;      // not for BFloat16
  const EncodeKernels<Real>* encode;  // the same
  const AdamWKernels<Real>* adamw;    // the same
};

// The kernels of the active instruction set.  For BFloat16 there are some if `multiplies_bfloat16`.
template <class Number>
const Kernels<Number>& kernels();

bool multiplies_bfloat16();

// Run a stack of layers, each reading what the one before it gives, with scratch memory of its own on `threads`
// threads: one layer in `directions` (1 or 2) directions, or several in one.
template <class Number>
void forward(const Forward<Number>* layers, int count, int directions, int threads);
template <class Number>
void backward(const Backward<Number>* layers, int count, int directions, int threads);

// Would these layers, of one direction, run at once, each on one thread?  Then they need the memory of all at once.
template <class Number>
bool runs_at_once(const Forward<Number>* layers, int count, int threads);

}  // namespace foretell
