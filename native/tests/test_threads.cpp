// Threads, barriers and the flushing of denormals.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "foretell/threads.h"

namespace {

std::atomic<int> failures = 0;

void check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "failed: %s\n", what);
  ++failures;
}

// What parallel() makes of so many threads.
int granted(int asked) {
  const char* limit = std::getenv("OMP_THREAD_LIMIT");
  return asked < 1 || (limit && asked > std::atoi(limit)) ? 1 : asked;
}

void every_thread_runs_once() {
  for (int asked : {0, 1, 2, 3, 8}) {
    std::vector<int> runs(8, 0);
    std::vector<int> heard(8, 0);
    foretell::parallel(asked, [&](int thread, int threads) {
      ++runs[thread];
      heard[thread] = threads;
    });
    const int threads = granted(asked);
    for (int thread = 0; thread < 8; ++thread) {
      check(runs[thread] == (thread < threads), "all threads run the work once, or one does alone");
      check(heard[thread] == (thread < threads ? threads : 0), "all hear the same count");
    }
  }
}

void parallel_work_does_not_nest() {
  check(foretell::max_threads() >= 1, "the caller is a thread");
  foretell::parallel(2, [](int, int threads) {
    if (threads == 1) return;
    check(foretell::max_threads() == 1, "parallel work may use no further threads");
    foretell::parallel(2, [](int, int inner) { check(inner == 1, "work inside parallel work runs on one thread"); });
  });
}

// Neighbours in a ring show each other the round they are in, which fails if one runs ahead.
void barrier_holds_all_back() {
  constexpr int rounds = 2000;
  for (int asked : {1, 2, 3, 4, 7}) {
    std::vector<int> shown(asked, 0);
    std::atomic<int> wrong = 0;
    foretell::Barrier barrier(asked);
    foretell::parallel(asked, [&](int thread, int threads) {
      if (threads < asked) return;
      for (int round = 1; round <= rounds; ++round) {
        shown[thread] = round;
        barrier.wait(thread);
        if (shown[(thread + 1) % asked] != round) ++wrong;
        barrier.wait(thread);
      }
    });
    check(wrong == 0, "a barrier holds all of its threads back");
  }
}

void pairs_have_barriers_of_their_own() {
  constexpr int rounds = 1000;
  int shown[4] = {};
  std::atomic<int> wrong = 0;
  foretell::Barrier pairs[] = {foretell::Barrier(2), foretell::Barrier(2)};
  foretell::parallel(4, [&](int thread, int threads) {
    if (threads < 4) return;
    for (int round = 1; round <= rounds * (1 + thread / 2); ++round) {  // the second pair goes on longer
      shown[thread] = round;
      pairs[thread / 2].wait(thread % 2);
      if (shown[thread ^ 1] != round) ++wrong;
      pairs[thread / 2].wait(thread % 2);
    }
  });
  check(wrong == 0, "a barrier serves some of the threads");
}

void meetings_take_their_time() {
  for (int threads : {2, 8}) {
    const double seconds = foretell::meeting_seconds(threads);
    check(seconds > 0, "a meeting takes its time");
    check((seconds < 10) == (granted(threads) == threads), "threads that are not granted never meet");
  }
  foretell::parallel(2, [](int, int threads) {
    check(threads == 1 || foretell::meeting_seconds(3) > 10, "parallel work meets no further threads");
  });
}

// What was written before a report can be read by whoever waited for it.
void progress_shows_what_is_done() {
  constexpr int steps = 2000;
  std::vector<int> written(steps, 0);
  std::atomic<int> wrong = 0;
  foretell::Progress progress;
  foretell::parallel(2, [&](int thread, int threads) {
    if (threads < 2) return;
    for (int step = 0; step < steps; ++step) {
      if (thread == 0) {
        written[step] = step + 1;
        progress.report(step + 1);
      } else {
        progress.wait(step + 1);
        if (written[step] != step + 1) ++wrong;
      }
    }
  });
  check(wrong == 0, "progress shows what is done");
}

bool keeps_denormals() {
  volatile float smallest = std::numeric_limits<float>::min();
  volatile float half = smallest * 0.5F;  // a denormal result
  volatile float whole = half * 2.0F;     // a denormal input
  return whole == smallest;
}

void denormals_are_flushed_and_kept_again() {
  check(keeps_denormals(), "denormals are kept outside");
  for (int asked : {1, 2, 3}) {
    std::vector<char> kept(asked, 0);
    foretell::parallel(asked, [&](int thread, int) { kept[thread] = keeps_denormals(); });
    for (char any : kept) check(!any, "denormals are flushed inside");
    check(keeps_denormals(), "denormals are kept again");
  }
  volatile float denormal = std::numeric_limits<float>::denorm_min();
  {
    const foretell::FlushDenormals outer;
    const foretell::FlushDenormals inner;
    volatile float scaled = denormal * 0x1p30F;
    check(scaled == 0.0F, "a denormal input counts as zero");
  }
  check(keeps_denormals(), "denormals are kept again after two that nest");
}

// The parent's pool is not the child's: work in the child must not wait for it.
void a_forked_child_works_alone() {
  foretell::parallel(2, [](int, int) {});
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // seconds; then it hangs
    int alone = 0;
    foretell::parallel(2, [&](int, int threads) { alone = threads; });
    _exit(alone == 1 && foretell::max_threads() == 1 ? 0 : 1);
  }
  int status = 1;
  check(waitpid(child, &status, 0) == child && status == 0, "a forked child works on one thread");
  std::atomic<int> runs = 0;
  foretell::parallel(2, [&](int, int) { ++runs; });
  check(runs >= 1, "the parent goes on");
}

}  // namespace

int main() {
  every_thread_runs_once();
  parallel_work_does_not_nest();
  barrier_holds_all_back();
  pairs_have_barriers_of_their_own();
  meetings_take_their_time();
  progress_shows_what_is_done();
  denormals_are_flushed_and_kept_again();
  a_forked_child_works_alone();
  return failures ? 1 : 0;
}
