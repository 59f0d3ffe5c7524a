// Hands out the parts of a piece of work to threads as they come free.
#pragma once

#include <atomic>

#include "foretell/lstm.h"
#include "foretell/threads.h"

namespace foretell {

// Calls each(part, thread) for every part.
template <class Function>
void deal(Index parts, int threads, const Function& each) {
  std::atomic<Index> next = 0;
  parallel(threads, [&](int thread, int) {
    for (Index part = next++; part < parts; part = next++) each(part, thread);
  });
}

}  // namespace foretell
