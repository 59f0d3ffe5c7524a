// A step of the optimizer against the same sums in double precision; the same bits for every number of threads.
#include "foretell/adamw.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cases.h"
#include "check.h"

namespace {

struct Problem {
  std::vector<foretell::WeightGroup> groups;
  double most_norm;
  std::string name;
};

// Some steps, each with the same gradients.
template <class Real>
class Work {
 public:
  explicit Work(const Problem& p) : p(p) {
    Index count = 0;
    for (const foretell::WeightGroup& group : p.groups) count += group.count;
    Random random{std::uint64_t(count)};
    begin = random.vector(count);
    given = random.vector(count, 1e-2);
  }

  void run(int threads) {
    weights.assign(begin.begin(), begin.end());
    average = weights;
    first.assign(weights.size(), 0);
    second = first;
    for (int step = 1; step <= steps; ++step) {
      std::vector<Real> gradients(given.begin(), given.end());
      foretell::adamw<Real>({weights.data(), gradients.data(), first.data(), second.data(), average.data(),
                             p.groups.data(), int(p.groups.size()), step, .9, .999, 1e-8, p.most_norm, share},
                            threads);
      check(std::count(gradients.begin(), gradients.end(), Real(0)) == std::ptrdiff_t(gradients.size()),
            "gradients are used up:", p.name.c_str());
    }
  }

  void compare(double tolerance) const {
    double squares = 0;
    for (double gradient : given) squares += gradient * gradient;
    const double clip = std::min(1.0, p.most_norm / (std::sqrt(squares) + 1e-6));
    std::size_t n = 0;
    for (const foretell::WeightGroup& group : p.groups) {
      for (const std::size_t end = n + std::size_t(group.count); n < end; ++n) {
        const double gradient = clip * given[n];
        double weight = begin[n], mean = 0, square = 0, followed = begin[n];
        for (int step = 1; step <= steps; ++step) {
          mean += .1 * (gradient - mean);
          square += .001 * (gradient * gradient - square);
          const double root = std::sqrt(square / (1 - std::pow(.999, step)));
          weight -= group.rate * (group.decay * weight + mean / (1 - std::pow(.9, step)) / (root + 1e-8));
          followed += share * (weight - followed);
        }
        near(weights[n], weight, tolerance, "weights:");
        near(average[n], followed, tolerance, "their average:");
        near(first[n], mean, tolerance, "first moment:");
        near(second[n], square, tolerance, "second moment:");
      }
    }
  }

  bool same(const Work& other) const {
    return weights == other.weights && average == other.average && first == other.first && second == other.second;
  }

 private:
  static constexpr int steps = 3;
  static constexpr double share = .25;

  void near(double found, double expected, double tolerance, const char* what) const {
    check(std::abs(found - expected) <= tolerance, what, p.name.c_str());
  }

  Problem p;
  Vector begin, given;
  std::vector<Real> weights, first, second, average;
};

}  // namespace

int main() {
  if (!is_supported()) return skipped;
  for (Index count : {1, 31, 5000, 200000}) {
    for (double most_norm : {.01, 1e9}) {
      const std::string name = std::to_string(count) + " weights, norm at most " + std::to_string(most_norm);
      const Problem p{{{count, .05, .1}, {0, .05, 0}, {7, .015, 0}}, most_norm, name};
      check_threads<Work<float>>(p, 1e-5);
      check_threads<Work<double>>(p, 1e-12);
    }
  }
  return failures ? 1 : 0;
}
