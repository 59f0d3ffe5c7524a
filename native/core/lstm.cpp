// Runs a stack of layers: chooses how threads share it, finds memory, and calls the kernels of the active instruction
// set.
#include "foretell/lstm.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "arena.h"
#include "foretell/cpu.h"
#include "foretell/threads.h"
#include "plan.h"

namespace foretell {

#define FORETELL_DECLARE(variant)             \
  namespace variant {                         \
  extern const Kernels<float> float_kernels;  \
  extern const Kernels<double> double_kernels; \
  }
FORETELL_DECLARE(baseline)
#if defined(__x86_64__)
FORETELL_DECLARE(avx512)
FORETELL_DECLARE(avx2)
namespace avx512_bf16 {
extern const Kernels<BFloat16> bfloat16_kernels;
}
namespace amx {
extern const Kernels<BFloat16> bfloat16_kernels;
extern const BackwardPass<float> float_backward;
}
#elif defined(__aarch64__)
FORETELL_DECLARE(neon)
#endif

namespace {

struct AllKernels {
  const Kernels<float>* of_float;
  const Kernels<double>* of_double;
  const Kernels<BFloat16>* of_bfloat16 = nullptr;
};

#if defined(__x86_64__)
// The backward pass of floats beside a unit for matrices.  With few rows most of a matrix is idle; with few units more
// goes into its pieces than into its products, the more so where norms have pieces of their own or the rows of three
// gates do not fill whole matrices (lab/README.md, 101, 106 and 107).
const BackwardPass<float>& pass_beside_matrices(const Backward<float>& layer) {
  const Cell& cell = layer.forward.cell;
  const bool has_all_gates = cell.input_gate && cell.forget_gate && cell.output_gate && !cell.coupled;
  const bool is_plain = has_all_gates && !cell.layer_norm;
  const Index rows = layer.forward.rows.batch, least_rows = is_plain ? 12 : 16;
  const Index least_units = !is_plain || rows < 16 ? 256 : rows < 32 ? 128 : 96;
  const bool pays = rows >= least_rows && cell.hidden >= least_units;
  return pays ? amx::float_backward : avx512::float_kernels.backward;
}

// AVX-512's but for that: forward gives the same bits for every batch.
const Kernels<float>& kernels_beside_matrices() {
  static const Kernels<float> found = [] {
    Kernels<float> all = avx512::float_kernels;
    all.backward.cost = [](const Backward<float>& layer) { return pass_beside_matrices(layer).cost(layer); };
    all.backward.scratch = [](const Backward<float>& layer, const Team& team) {
      return pass_beside_matrices(layer).scratch(layer, team);
    };
    all.backward.run = [](const Backward<float>& layer, Scratch<float> scratch, const Team& team) {
      pass_beside_matrices(layer).run(layer, scratch, team);
    };
    return all;
  }();
  return found;
}
#endif

AllKernels find_kernels(std::string_view variant) {
#if defined(__x86_64__)
  if (variant == "amx") return {&kernels_beside_matrices(), &avx512::double_kernels, &amx::bfloat16_kernels};
  if (variant == "avx512_bf16") {
    return {&avx512::float_kernels, &avx512::double_kernels, &avx512_bf16::bfloat16_kernels};
  }
  if (variant == "avx512") return {&avx512::float_kernels, &avx512::double_kernels};
  if (variant == "avx2") return {&avx2::float_kernels, &avx2::double_kernels};
#elif defined(__aarch64__)
  if (variant == "neon") return {&neon::float_kernels, &neon::double_kernels};
#endif
  return {&baseline::float_kernels, &baseline::double_kernels};
}

const AllKernels& active_kernels() {
  static const AllKernels found = find_kernels(active().name);
  return found;
}

// Sizes in numbers.  Each part begins on a page, for a core fetches lines of a page ahead, and would take them from
// the core that writes them.  `runs`: directions of a layer, or layers of a wave.
template <class Real>
struct Division {
  Index packed = 0, shared = 0, own = 0;

  void fit(Index packed_size, const ScratchSize& size) {
    packed = std::max(packed, in_pages(packed_size));
    shared = std::max(shared, in_pages(size.shared));
    own = std::max(own, in_pages(size.own));
  }
  static Index in_pages(Index numbers) {
    constexpr Index page = Arena::alignment / sizeof(Real);
    return (numbers + page - 1) / page * page;
  }
  Real* reserve(int runs, int workers) const {
    const Index numbers = runs * (packed + shared) + workers * own;
    return reinterpret_cast<Real*>(Arena::of_thread().reserve(numbers * sizeof(Real)));
  }
  Real* packed_of(Real* memory, int run) const { return memory + run * (packed + shared); }
  Scratch<Real> scratch_of(Real* memory, int runs, int run, int worker) const {
    return {packed_of(memory, run) + packed, memory + runs * (packed + shared) + worker * own};
  }
};

// Calls work(direction, team, worker) on every thread for its directions.  If the system does not grant these threads
// nothing is done, and the answer is no.
template <class Function>
bool run_teams(const Plan& plan, int directions, const Function& work) {
  Barrier barriers[2] = {Barrier(plan.members), Barrier(plan.members)};
  const int workers = plan.teams * plan.members;
  bool is_granted = true;
  parallel(workers, [&](int worker, int granted) {
    if (granted < workers) {  // then there is this thread alone
      is_granted = false;
      return;
    }
    const int own = worker / plan.members;
    Barrier* barrier = plan.members > 1 ? &barriers[own] : nullptr;
    const Team team{worker % plan.members, plan.members, barrier, plan.split};
    for (int direction = own; direction < directions; direction += plan.teams) work(direction, team, worker);
  });
  return is_granted;
}

// The two passes alike: what memory the members of a layer need, and what a thread does there.
template <class Number>
void measure(const Forward<Number>& layer, const Team& team, Division<Wide<Number>>& parts) {
  parts.fit(kernels<Number>().packed_size(layer.cell), kernels<Number>().forward_scratch(layer, team));
}

template <class Number>
void measure(const Backward<Number>& layer, const Team& team, Division<Wide<Number>>& parts) {
  parts.fit(0, kernels<Number>().backward.scratch(layer, team));
}

template <class Number>
void run_as_member(const Forward<Number>& layer, Wide<Number>* packed, Scratch<Wide<Number>> scratch,
                   const Team& team) {
  kernels<Number>().pack(layer.cell, layer.weights, packed, team);
  if (team.barrier) team.barrier->wait(team.member);
  kernels<Number>().forward(layer, packed, scratch, team);
}

template <class Number>
void run_as_member(const Backward<Number>& layer, Wide<Number>*, Scratch<Wide<Number>> scratch, const Team& team) {
  kernels<Number>().backward.run(layer, scratch, team);
}

// No if the system does not grant the threads of the plan; then nothing is done.
template <class Number, template <class> class Pass>
bool run_planned(const Pass<Number>* layer, int directions, const Plan& plan) {
  Division<Wide<Number>> parts;
  measure(layer[0], Team{0, plan.members, nullptr, plan.split}, parts);
  Wide<Number>* memory = parts.reserve(directions, plan.teams * plan.members);
  return run_teams(plan, directions, [&](int direction, const Team& team, int worker) {
    run_as_member(layer[direction], parts.packed_of(memory, direction),
                  parts.scratch_of(memory, directions, direction, worker), team);
  });
}

// One layer on as many threads as are worth it and can be had.
template <class Number, template <class> class Pass>
void run_layer(const Pass<Number>* layer, int directions, int threads) {
  const Plan plan = choose_plan(forward_of(layer[0]), cost_of(layer[0]), directions, threads);
  if (!run_planned(layer, directions, plan)) run_planned(layer, directions, Plan{});
}

// All layers at once, each on one thread and a few steps behind the one it reads from; `at(n)`: the n-th to begin.
template <class Number, template <class> class Pass, class Order>
void run_wave(const Pass<Number>* layers, int count, int threads, const Order& at) {
  const Index slice = slice_of(forward_of(layers[0]).rows.time);
  const int workers = std::min(count, threads);
  Division<Wide<Number>> parts;
  for (int n = 0; n < count; ++n) measure(layers[n], Team{}, parts);
  Wide<Number>* memory = parts.reserve(count, workers);
  std::vector<Progress> progress(count);
  parallel(workers, [&](int worker, int granted) {
    for (int n = worker; n < count; n += granted) {
      const Wave wave{slice, n > 0 ? &progress[n - 1] : nullptr, &progress[n]};
      run_as_member(layers[at(n)], parts.packed_of(memory, n), parts.scratch_of(memory, count, n, worker),
                    Team{0, 1, nullptr, Split::rows, wave});
    }
  });
}

template <class Number, template <class> class Pass, class Order>
void run_stack(const Pass<Number>* layers, int count, int directions, int threads, const Order& at) {
  if (directions == 1 && makes_wave(layers, count, threads)) {
    run_wave(layers, count, threads, at);
  } else {
    for (int n = 0; n < count; ++n) run_layer(layers + at(n) * directions, directions, threads);
  }
  Arena::of_thread().shrink();
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
  return *active_kernels().of_float;
}

template <>
const Kernels<double>& kernels<double>() {
  return *active_kernels().of_double;
}

template <>
const Kernels<BFloat16>& kernels<BFloat16>() {
  return *active_kernels().of_bfloat16;
}

bool multiplies_bfloat16() { return active_kernels().of_bfloat16; }

template <class Number>
void forward(const Forward<Number>* layers, int count, int directions, int threads) {
  run_stack(layers, count, directions, threads, [](int n) { return n; });
}

template <class Number>
void backward(const Backward<Number>* layers, int count, int directions, int threads) {
  run_stack(layers, count, directions, threads, [=](int n) { return count - 1 - n; });
}

template <class Number>
bool runs_at_once(const Forward<Number>* layers, int count, int threads) {
  return makes_wave(layers, count, threads);
}

#define FORETELL_DEFINE(Number)                                           \
  template void forward(const Forward<Number>*, int, int, int);           \
  template void backward(const Backward<Number>*, int, int, int);         \
  template bool runs_at_once(const Forward<Number>*, int, int);
FORETELL_DEFINE(float)
FORETELL_DEFINE(double)
FORETELL_DEFINE(BFloat16)

}  // namespace foretell
