// The head's loss against the plain formula in double precision, and the same bits for every number of threads.  That
// its gradients are those of the formula is asked from Python (tests/networks/test_head_loss.py); here they must be
// written, every one.
#include "foretell/head.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cases.h"
#include "check.h"

namespace {

struct Problem {
  Index time, lanes, horizon, quantiles, hidden, inputs;
  bool is_scaled, has_beside;
  int least;  // of dropout; the plain formula has none
  std::string name;
  Index rows() const { return time * lanes; }
  Index lines() const { return horizon * quantiles; }
};

template <class Real>
class Work {
 public:
  explicit Work(const Problem& p) : p(p) {
    Random random(std::uint64_t(p.rows() * 1000 + p.lines()));
    const auto numbers = [&](Index count, double size = 1, double middle = 0) {
      const Vector drawn = random.vector(count, size, middle);
      return std::vector<Real>(drawn.begin(), drawn.end());
    };
    values = numbers((p.time + p.horizon) * p.lanes, 3);
    for (Index n = 0; n < (p.time + p.horizon) * p.lanes; ++n) known.push_back(random.one_in(4) ? 0 : 1);
    for (Index n = 0; n < p.rows(); ++n) learn.push_back(random.one_in(5) ? 0 : 1);
    spread = numbers(p.rows(), 0.4, 1);
    for (Index q = 0; q < p.quantiles; ++q) probabilities.push_back(Real(q + 1) / Real(p.quantiles + 1));
    outputs = numbers(p.rows() * p.hidden);
    weight = numbers(p.lines() * p.hidden);
    bias = numbers(p.lines());
    if (p.has_beside) beside = numbers(p.horizon * p.rows());
    skip = numbers(p.horizon * p.inputs);
    windows = numbers((p.inputs - 1 + p.time) * p.lanes);
    level = numbers(p.rows());
    scale = numbers(p.rows(), 0.45, 0.5);
  }

  void run(int threads) {
    foretell::HeadLoss<Real> call;
    call.rows = p.rows();
    call.lanes = p.lanes;
    call.horizon = p.horizon;
    call.quantiles = p.quantiles;
    call.hidden = p.hidden;
    call.values = values.data();
    call.known = known.data();
    call.learn = learn.data();
    call.spread = spread.data();
    call.probabilities = probabilities.data();
    call.outputs = outputs.data();
    call.weight = weight.data();
    call.bias = bias.data();
    call.beside = p.has_beside ? beside.data() : nullptr;
    call.seed = 7;
    call.least = p.least;
    call.d_outputs = written(d_outputs, outputs);
    call.d_weight = written(d_weight, weight);
    call.d_bias = written(d_bias, bias);
    call.d_beside = p.has_beside ? written(d_beside, beside) : nullptr;
    foretell::Skip<Real> one;
    one.weight = skip.data();
    one.inputs = {windows.data(), p.inputs, p.lanes, 1};
    if (p.is_scaled) {
      one.inputs.level = level.data();
      one.inputs.spread = scale.data();
      one.inputs.limit = limit;
    }
    one.gradient = written(d_skip, skip);
    call.skips = &one;
    call.skip_count = 1;
    found = foretell::head_loss(call, threads);
  }

  void compare(double tolerance) const {
    double total = 0, count = 0;
    for (Index n = 0; n < p.rows(); ++n) {
      for (Index h = 0; h < p.horizon; ++h) {
        const Index ahead = n + (h + 1) * p.lanes;
        if (learn[n] == 0 || known[ahead] == 0) continue;
        total += pinball(n, h, (values[ahead] - values[n]) / spread[n]);
        ++count;
      }
    }
    check(found.count == count, "targets are counted:", p.name.c_str());
    if (p.least) return;
    const double expected = 2 * total / (double(p.quantiles) * std::max(count, 1.0));
    check(std::abs(found.loss - expected) <= tolerance * std::max(1.0, expected), "the loss is right:", p.name.c_str());
  }

  bool same(const Work& other) const {
    return found.loss == other.found.loss && d_outputs == other.d_outputs && d_weight == other.d_weight &&
           d_bias == other.d_bias && d_beside == other.d_beside && d_skip == other.d_skip;  // which no NaN equals
  }

 private:
  using Numbers = std::vector<Real>;
  static constexpr double limit = 3;

  static Real* written(Numbers& gradient, const Numbers& like) {
    gradient.assign(like.size(), std::numeric_limits<Real>::quiet_NaN());
    return gradient.data();
  }

  double line(Index number, Index n) const {
    double total = bias[number];
    for (Index u = 0; u < p.hidden; ++u) total += double(weight[number * p.hidden + u]) * outputs[n * p.hidden + u];
    return total;
  }
  double input(Index k, Index n) const {
    const double value = windows[k * p.lanes + n];
    return p.is_scaled ? std::clamp((value - level[n]) / scale[n], -limit, limit) : value;
  }
  double distance(Index n, Index h, Index number) const {
    return std::log1p(std::exp(line(p.horizon + h * (p.quantiles - 1) + number, n)));
  }

  // The pinball losses of a row's quantiles at a horizon: the median, and distances from it on either side.
  double pinball(Index n, Index h, double target) const {
    const Index middle = p.quantiles / 2;
    double median = line(h, n) + (p.has_beside ? beside[h * p.rows() + n] : 0);
    for (Index k = 0; k < p.inputs; ++k) median += double(skip[h * p.inputs + k]) * input(k, n);
    double total = of(target - median, middle), above = median, below = median;
    for (Index k = 0; k < middle; ++k) {
      above += distance(n, h, middle + k);
      below -= distance(n, h, middle - 1 - k);
      total += of(target - above, middle + k + 1) + of(target - below, middle - 1 - k);
    }
    return total;
  }
  double of(double error, Index quantile) const {
    return error < 0 ? (probabilities[quantile] - 1) * error : probabilities[quantile] * error;
  }

  Problem p;
  foretell::LossAndCount found{};
  Numbers values, known, learn, spread, probabilities, outputs, weight, bias, beside, skip, windows, level, scale;
  Numbers d_outputs, d_weight, d_bias, d_beside, d_skip;
};

void check_both(Problem p) {
  p.name = std::to_string(p.time) + " steps, " + std::to_string(p.lanes) + " lanes, " + std::to_string(p.horizon) +
           " ahead, " + std::to_string(p.quantiles) + " quantiles, " + std::to_string(p.hidden) + " units, " +
           std::to_string(p.inputs) + " inputs";
  check_threads<Work<float>>(p, 1e-5);
  check_threads<Work<double>>(p, 1e-12);
}

}  // namespace

int main() {
  if (!is_supported()) return skipped;
  check_both({1, 1, 1, 1, 1, 1, false, false, 0, ""});
  check_both({5, 3, 7, 1, 9, 31, true, false, 0, ""});
  check_both({31, 37, 17, 3, 20, 40, true, true, 0, ""});
  check_both({70, 16, 3, 5, 33, 66, true, false, 51, ""});
  check_both({300, 5, 2, 3, 16, 64, false, true, 0, ""});
  return failures ? 1 : 0;
}
