// What linear maps of many rows read.
#pragma once

#include "foretell/lstm.h"

namespace foretell {

// K inputs of each of N rows: as they lie, or each row in a scale of its own, (value - level) / spread, at most `limit`
// away from 0.  Windows over a series are such views, which overlap: they are scaled only where they are used.
template <class Real>
struct Inputs {
  const Real* values = nullptr;                           // [K,N]
  Index count = 0, stride = 0, row_stride = 0;            // K, and the strides of inputs and rows
  const Real *level = nullptr, *spread = nullptr;         // [N]; null: as they lie
  Real limit = 0;
};

// Sizes in numbers of sums over rows.  Rows are done in groups, whose sums are added up in their order at the end, so
// that the result does not depend on threads.
struct GroupSizes {
  Index groups, partial, own;  // a group's sums; a thread's scratch
};

}  // namespace foretell
