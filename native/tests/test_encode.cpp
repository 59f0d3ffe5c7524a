// The encoding and its gradients against the plain sums in double precision; the same bits for every number of threads.
#include "foretell/encode.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cases.h"
#include "check.h"

namespace {

struct Problem {
  Index time, lanes, inputs, outputs;
  bool is_scaled;
  std::string name;
  Index rows() const { return time * lanes; }
};

template <class Real>
std::vector<Real> as(const Vector& values) {
  return {values.begin(), values.end()};
}

// Windows over a series [inputs - 1 + time, lanes], and everything that is made of them.
template <class Real>
class Work {
 public:
  explicit Work(const Problem& p) : p(p) {
    Random random(std::uint64_t(p.rows() * 1000 + p.inputs));
    series = as<Real>(random.vector((p.inputs - 1 + p.time) * p.lanes));
    level = as<Real>(random.vector(p.rows()));
    spread = as<Real>(random.vector(p.rows(), 0.45, 0.5));
    weight = as<Real>(random.vector(p.outputs * p.inputs));
    bias = as<Real>(random.vector(p.outputs));
    outer = as<Real>(random.vector(p.rows() * stride()));
  }

  // What is written must be: all begins as NaN.
  void run(int threads) {
    constexpr Real nan = std::numeric_limits<Real>::quiet_NaN();
    encoded.assign(p.rows() * stride(), nan);
    d_weight.assign(weight.size(), nan);
    d_bias.assign(bias.size(), nan);
    foretell::Inputs<Real> inputs{series.data(), p.inputs, p.lanes, 1};
    if (p.is_scaled) {
      inputs.level = level.data();
      inputs.spread = spread.data();
      inputs.limit = limit;
    }
    foretell::encode<Real>(
        {inputs, p.rows(), p.outputs, weight.data(), bias.data(), encoded.data(), stride()}, threads);
    foretell::encode_backward<Real>(
        {inputs, p.rows(), p.outputs, outer.data(), stride(), d_weight.data(), d_bias.data()}, threads);
  }

  void compare(double tolerance) const {
    Vector by_weight(weight.size()), by_bias(bias.size());
    for (Index n = 0; n < p.rows(); ++n) {
      for (Index e = 0; e < p.outputs; ++e) {
        double total = bias[e];
        const double d = outer[n * stride() + e];
        for (Index k = 0; k < p.inputs; ++k) {
          total += double(weight[e * p.inputs + k]) * input(k, n);
          by_weight[e * p.inputs + k] += d * input(k, n);
        }
        by_bias[e] += d;
        near(encoded[n * stride() + e], total, tolerance, "the encoding is right:");
      }
      for (Index e = p.outputs; e < stride(); ++e) {
        check(std::isnan(encoded[n * stride() + e]), "what lies beside it is left alone:", p.name.c_str());
      }
    }
    for (std::size_t n = 0; n < weight.size(); ++n) near(d_weight[n], by_weight[n], tolerance, "weights' gradient:");
    for (std::size_t n = 0; n < bias.size(); ++n) near(d_bias[n], by_bias[n], tolerance, "the bias's gradient:");
  }

  bool same(const Work& other) const {
    for (Index n = 0; n < p.rows(); ++n) {
      const Index at = n * stride();
      if (!std::equal(&encoded[at], &encoded[at + p.outputs], &other.encoded[at])) return false;
    }
    return d_weight == other.d_weight && d_bias == other.d_bias;
  }

 private:
  static constexpr double limit = 3;

  Index stride() const { return p.outputs + 3; }
  double input(Index k, Index n) const {
    const double value = series[k * p.lanes + n];
    return p.is_scaled ? std::clamp((value - level[n]) / spread[n], -limit, limit) : value;
  }
  void near(double found, double expected, double tolerance, const char* what) const {
    const double size = std::max({1.0, std::abs(expected), double(p.rows()), double(p.inputs)});
    check(std::abs(found - expected) <= tolerance * size, what, p.name.c_str());
  }

  Problem p;
  std::vector<Real> series, level, spread, weight, bias, outer, encoded, d_weight, d_bias;
};

}  // namespace

int main() {
  if (!is_supported()) return skipped;
  for (Index lanes : {1, 5}) {
    for (Index time : {1, 70}) {
      for (Index inputs : {31, 130}) {
        for (Index outputs : {7, 70}) {
          for (bool is_scaled : {false, true}) {
            const std::string name = std::to_string(time) + " steps, " + std::to_string(lanes) + " lanes, " +
                                     std::to_string(inputs) + " inputs, " + std::to_string(outputs) + " outputs" +
                                     (is_scaled ? ", scaled" : "");
            const Problem p{time, lanes, inputs, outputs, is_scaled, name};
            check_threads<Work<float>>(p, 1e-5);
            check_threads<Work<double>>(p, 1e-12);
          }
        }
      }
    }
  }
  return failures ? 1 : 0;
}
