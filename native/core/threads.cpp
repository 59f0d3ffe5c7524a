// Threads on OpenMP, whose pool torch shares, or without it on std::thread; denormals; barriers.
#include "foretell/threads.h"

#include <pthread.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <limits>
#include <thread>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#else
#include <exception>
#endif

namespace foretell {
namespace {

void run(Work work, int thread, int threads) {
  const FlushDenormals flush;
  work(thread, threads);
}

// One pass of a spinning wait.
void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class Ready>
void wait_until(const Ready& ready) {
  constexpr int patience = 2000;  // spins; longer, and another process may want the core
  for (int spins = 0; !ready();) {
    if (spins < patience) {
      pause();
      ++spins;
    } else {
      std::this_thread::yield();
    }
  }
}

#if defined(__x86_64__)
constexpr unsigned long long flush_bits = 0x8040;  // of MXCSR: results (FTZ) and inputs (DAZ)

unsigned long long control() { return __builtin_ia32_stmxcsr(); }

void set_control(unsigned long long value) { __builtin_ia32_ldmxcsr(static_cast<unsigned>(value)); }
#elif defined(__aarch64__)
constexpr unsigned long long flush_bits = 1 << 24;  // of FPCR: FZ, results and inputs

unsigned long long control() {
  unsigned long long value;
  asm volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}

void set_control(unsigned long long value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
#else
constexpr unsigned long long flush_bits = 0;

unsigned long long control() { return 0; }

void set_control(unsigned long long) {}
#endif

using Clock = std::chrono::steady_clock;

// What a round takes: the median of some blocks of rounds, for who comes last hardly waits, the threads take turns in
// that, and reading the clock takes half of a round.  Where threads have to share one core, one block is enough.
double time_meeting(int threads) {
  constexpr int blocks = 8, rounds = 8;
  constexpr std::chrono::microseconds enough(20);
  std::vector<Clock::time_point> times;
  times.reserve(blocks + 1);
  std::atomic<int> last = blocks;
  Barrier barrier(threads);
  parallel(threads, [&](int thread, int granted) {
    if (granted < threads) return;
    for (int block = 0; block <= last; ++block) {  // in the first they come together
      if (thread == 0 && block > 1 && times.back() - times.front() > enough) last = block;  // seen by who meets here
      for (int round = 0; round < rounds; ++round) barrier.wait(thread);
      if (thread == 0) times.push_back(Clock::now());
    }
  });
  if (times.empty()) return std::numeric_limits<double>::infinity();
  std::vector<Clock::duration> taken;
  for (std::size_t n = 1; n < times.size(); ++n) taken.push_back(times[n] - times[n - 1]);
  std::ranges::nth_element(taken, taken.begin() + taken.size() / 2);
  return std::chrono::duration<double>(taken[taken.size() / 2]).count() / rounds;
}

// A child inherits OpenMP's record of its pool, torch's use of it included, but not the threads: it would wait forever.
std::atomic<bool> forked{false};
[[maybe_unused]] const int watching = pthread_atfork(nullptr, nullptr, [] { forked = true; });

#ifdef _OPENMP

bool inside_parallel_work() { return omp_in_parallel(); }

int available_threads() { return std::min(omp_get_max_threads(), omp_get_thread_limit()); }

void start(int threads, Work work) {
#pragma omp parallel num_threads(threads)
  work(omp_get_thread_num(), omp_get_num_threads());
}

#else

thread_local bool inside = false;

bool inside_parallel_work() { return inside; }

int available_threads() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

void start(int threads, Work work) {
  std::atomic<int> granted = 0;  // known once the system has granted or refused the last thread
  std::vector<std::jthread> others;
  others.reserve(threads - 1);
  const auto join = [&](int thread) {
    granted.wait(0);
    inside = true;
    work(thread, granted);
    inside = false;
  };
  try {
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(join, thread);
  } catch (const std::exception&) {
    // No more threads, or no more memory: those that there are hear of it below.
  }
  granted = static_cast<int>(others.size()) + 1;
  granted.notify_all();
  join(0);
}

#endif

}  // namespace

int max_threads() {
  if (forked || inside_parallel_work()) return 1;
  return available_threads();
}

void parallel(int threads, Work work) {
  if (threads <= 1 || forked || inside_parallel_work()) return run(work, 0, 1);
  start(threads, [&](int thread, int granted) {
    if (granted == threads) return run(work, thread, threads);
    if (thread == 0) run(work, 0, 1);
  });
}

FlushDenormals::FlushDenormals() : previous_(control()) { set_control(previous_ | flush_bits); }

FlushDenormals::~FlushDenormals() { set_control(previous_); }

// Where a thread is called, and behind these places the number of its round, which nobody else looks at.
struct alignas(apart) Barrier::Place {
  std::atomic<std::int64_t> round = 0;
};

Barrier::Barrier(int threads)
    : threads_(threads), calls_(std::bit_width(unsigned(threads - 1))), places_(new Place[threads * (calls_ + 1)]) {}

Barrier::~Barrier() = default;

void Barrier::wait(int thread) {
  Place* const own = &places_[thread * (calls_ + 1)];
  const std::int64_t round = own[calls_].round.load(std::memory_order_relaxed) + 1;
  own[calls_].round.store(round, std::memory_order_relaxed);
  for (int call = 0; call < calls_; ++call) {
    const int called = (thread + (1 << call)) % threads_;
    places_[called * (calls_ + 1) + call].round.store(round, std::memory_order_release);
    wait_until([&] { return own[call].round.load(std::memory_order_acquire) >= round; });
  }
}

double meeting_seconds(int threads) {
  constexpr std::chrono::milliseconds lately(100);  // a measurement takes a few microseconds
  thread_local int known_of = 0;                    // threads; OpenMP has a pool for each thread that asks for one
  thread_local double known = 0;
  thread_local Clock::time_point until;
  if (known_of != threads || Clock::now() >= until) {
    known = time_meeting(known_of = threads);
    until = Clock::now() + lately;
  }
  return known;
}

void Progress::report(std::int64_t done) { done_.store(done, std::memory_order_release); }

void Progress::wait(std::int64_t wanted) const {
  wait_until([&] { return done_.load(std::memory_order_acquire) >= wanted; });
}

}  // namespace foretell
