// The sigmoid and tanh of the kernels, seen through layers of one unit: units in the last place, and the ends.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "check.h"
#include "foretell/lstm.h"

namespace {

using foretell::Index;

template <class Real>
struct Activated {
  std::vector<Real> sigmoid, tanh;
};

// One step of one unit on each row, whose gates see x and nothing else.
template <class Real>
Activated<Real> activate(const std::vector<Real>& x) {
  const auto batch = Index(x.size());
  const Real ones[4] = {1, 1, 1, 1}, zeros[4] = {};
  const Index first[2] = {0, batch};
  std::vector<Real> state(batch), out(batch), cells(batch), activity[5];
  foretell::Forward<Real> f;
  f.cell.inputs = f.cell.hidden = f.cell.outputs = 1;
  f.rows.time = 1;
  f.rows.batch = batch;
  f.rows.first = first;
  f.x = {x.data(), batch, 1};
  f.weights.weight_ih = ones;
  f.weights.weight_hh = zeros;
  f.initial.h = f.initial.c = state.data();
  f.y = {out.data(), batch, 1};
  f.final.h = cells.data();
  f.final.c = state.data();
  for (int part = 0; part < 5; ++part) {
    activity[part].resize(batch);
    f.activity[part] = activity[part].data();
  }
  foretell::forward(&f, 1, 1, 1);
  return {activity[0], activity[2]};
}

// The distance in units of the last place of the exact value.
template <class Real>
long double ulps(Real found, long double exact) {
  int exponent;
  std::frexp(exact, &exponent);
  return std::abs((long double)(found) - exact) / std::ldexp(1.0L, exponent - std::numeric_limits<Real>::digits);
}

// Evenly over where the sigmoid is a normal number, and in small powers of two.
template <class Real>
std::vector<Real> grid(int points) {
  const Real end = sizeof(Real) == 4 ? 87 : 708;
  std::vector<Real> x;
  for (int n = -points; n <= points; ++n) {
    x.push_back(end * Real(n) / Real(points));
    x.push_back(Real(3) * Real(n) / Real(points));
  }
  for (int n = 1; n < points; ++n) {
    const int exponent = 1 - n % (-std::numeric_limits<Real>::min_exponent - 4);
    x.push_back(std::ldexp(n % 2 ? Real(1.1) : Real(-1.7), exponent));
  }
  return x;
}

template <class Real>
void check_accuracy(int points) {
  constexpr long double limit = 4;  // units in the last place
  const std::vector<Real> x = grid<Real>(points);
  const Activated<Real> found = activate(x);
  long double sigmoid = 0, tanh = 0;
  for (std::size_t n = 0; n < x.size(); ++n) {
    const long double exact = x[n];
    const long double of_sigmoid = ulps(found.sigmoid[n], 1 / (1 + std::exp(-exact)));
    const long double of_tanh = x[n] == 0 ? std::abs(found.tanh[n]) : ulps(found.tanh[n], std::tanh(exact));
    check(of_sigmoid <= limit, "the sigmoid is accurate at", std::to_string(x[n]).c_str());
    check(of_tanh <= limit, "tanh is accurate at", std::to_string(x[n]).c_str());
    sigmoid = std::max(sigmoid, of_sigmoid);
    tanh = std::max(tanh, of_tanh);
  }
  std::printf("%zu-bit: sigmoid within %.2Lf ulp, tanh within %.2Lf ulp\n", 8 * sizeof(Real), sigmoid, tanh);
}

template <class Real>
void check_ends() {
  constexpr Real infinity = std::numeric_limits<Real>::infinity(), huge = std::numeric_limits<Real>::max();
  constexpr Real tiny = 2 * std::numeric_limits<Real>::min();
  constexpr Real nan = std::numeric_limits<Real>::quiet_NaN();
  const Activated<Real> found = activate<Real>({infinity, huge, -infinity, -huge, nan, 0});
  for (int n : {0, 1}) check(found.sigmoid[n] == 1 && found.tanh[n] == 1, "upwards they saturate at 1");
  for (int n : {2, 3}) {
    check(found.sigmoid[n] >= 0 && found.sigmoid[n] <= tiny, "downwards the sigmoid saturates at 0");
    check(found.tanh[n] == -1, "downwards tanh saturates at -1");
  }
  check(std::isnan(found.sigmoid[4]) && std::isnan(found.tanh[4]), "NaN stays NaN");
  check(found.sigmoid[5] == Real(0.5) && found.tanh[5] == 0, "0 is exact, beside a row of NaN too");
}

}  // namespace

int main() {
  if (!is_supported()) return skipped;
  check_accuracy<float>(10000);
  check_accuracy<double>(10000);
  check_ends<float>();
  check_ends<double>();
  return failures ? 1 : 0;
}
