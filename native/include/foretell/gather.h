// Batches of a training: rows of tables, for every lane those of its own track from its own first row on.
//
// Sizes: B lanes, T steps, N rows of a table, F features of a row.
#pragma once

#include <cstddef>

#include "foretell/lstm.h"

namespace foretell {

// Which rows the lanes read, [B] each.
struct Lanes {
  Index count = 0;
  const Index* first = nullptr;  // row of step 0
  const Index *begin = nullptr, *end = nullptr;  // rows outside of [begin, end) give way to the nearest inside
  const Index* track = nullptr;  // added to the row in tables of tracks
};

// What to read and where to write it.
struct Gathered {
  const std::byte* table = nullptr;  // [N,F]
  Index width = 0;                   // bytes of a row, a multiple of four
  bool of_tracks = false;
  const float* factor = nullptr;     // [N], of tracks: floats are multiplied by that of their row; or null
  float limit = 0;                   // and then at most so far away from 0
  const Index* until = nullptr;      // [B]  the row from which on zeros are written; or null
  Index lead = 0, time = 0;          // first step, and how many: T
  std::byte* to = nullptr;           // [T,B,F]
  Index step = 0, lane = 0;          // strides in bytes
};

void gather(const Gathered* parts, int count, const Lanes& lanes, int threads);

}  // namespace foretell
