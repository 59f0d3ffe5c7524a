// Running one piece of work on several threads, which meet at barriers.
// A file built for more than the baseline CPU may include this: it compiles nothing that another file shares.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace foretell {

// The threads that the caller may use: OpenMP's value, which torch.set_num_threads sets for the thread that calls it;
// without OpenMP, the number of cores.  1 inside parallel work, and in a forked child, where the pool is gone.
int max_threads();

// A reference to a callable work(thread, threads), 0 <= thread < threads; it must outlive this.
class Work {
 public:
  template <class Function>
  Work(const Function& function)
      : function_(&function), call_([](const void* self, int thread, int threads) {
          (*static_cast<const Function*>(self))(thread, threads);
        }) {}

  void operator()(int thread, int threads) const { call_(function_, thread, threads); }

 private:
  const void* function_;
  void (*call_)(const void*, int, int);
};

// Multiply-adds that one thread does in the time of starting a second.
constexpr double too_little = 1.5e6;

// Runs work(thread, threads) for thread = 0 .. threads - 1, at the same time and with denormals flushed; or, if the
// system grants fewer threads, work(0, 1) alone, which must then meet nobody at a barrier.  Work must not throw.
void parallel(int threads, Work work);

// While it lives, this thread takes denormal inputs and results for zero.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned long long previous_;  // the control register
};

constexpr int apart = 128;  // bytes between what threads share: two lines, as Intel's prefetcher fetches them in pairs

// Where `threads` threads, always the same ones, wait for each other, any number of times.
// What each wrote before wait() all can read after it.
// Each calls the one 1, 2, 4, ... further and waits to be called (dissemination, Hensgen, Finkel & Manber 1988): two
// threads then wait for one line to come from the other core, where a common count of arrivals takes two.
class Barrier {
 public:
  explicit Barrier(int threads);
  ~Barrier();
  void wait(int thread);  // 0 <= thread < threads

 private:
  struct Place;
  const int threads_, calls_;
  const std::unique_ptr<Place[]> places_;  // [threads][calls + 1]
};

// Seconds that so many threads need to meet at a barrier, as it was lately: cores that share a cache need a fifth of
// what others do, and those of a virtual machine move.  Infinite if the system grants fewer threads.
double meeting_seconds(int threads);

// How far one thread is on a way that another goes behind it.
class Progress {
 public:
  void report(std::int64_t done);
  // Until so much is done; what was written before the report can be read then.
  void wait(std::int64_t wanted) const;

 private:
  alignas(apart) std::atomic<std::int64_t> done_ = 0;
};

}  // namespace foretell
