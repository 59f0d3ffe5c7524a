// Copies rows, a stretch of steps at a time: what the lanes read next lies in the cache beside what they have read.
#include "foretell/gather.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "deal.h"

namespace foretell {
namespace {

constexpr Index stretch = 64;         // steps
constexpr Index too_few = 64 * 1024;  // bytes to copy for which a second thread is not worth its start

// Rows that follow each other in the table, or the same one again and again, whose rows in `to` are `step` bytes apart.
struct Run {
  Index row, of_track, by, count;  // the first in the table and of the track; 1, or 0
  std::byte* to;
};

// Calls each(run) for the steps [begin, end) of every lane: its rows in the track, after some before and before some
// behind it.
template <class Function>
void for_runs(const Gathered& part, const Lanes& lanes, Index begin, Index end, const Function& each) {
  for (Index b = 0; b < lanes.count; ++b) {
    const Index track = lanes.track[b], least = lanes.begin[b], most = lanes.end[b] - 1, count = end - begin;
    const Index first = lanes.first[b] + part.lead + begin;
    const Index before = std::clamp<Index>(least - first, 0, count);
    const Index behind = std::clamp<Index>(first + count - 1 - most, 0, count - before);
    std::byte* to = part.to + begin * part.step + b * part.lane;
    const auto run = [&](Index row, Index by, Index rows) {
      if (rows) each(Run{row + (part.of_tracks ? track : 0), row + track, by, rows, to});
      to += rows * part.step;
    };
    run(least, 0, before);
    run(first + before, 1, count - before - behind);
    run(most, 0, behind);
  }
}

// A NaN stays one.
float bounded(float value, float limit) {
  const float from_above = limit < value ? limit : value;
  return -limit > from_above ? -limit : from_above;
}

void multiply(const Gathered& part, const Lanes& lanes, Index begin, Index end) {
  const Index features = part.width / Index(sizeof(float)), step = part.step;
  const auto* table = reinterpret_cast<const float*>(part.table);
  const float *factors = part.factor, limit = part.limit;
  for_runs(part, lanes, begin, end, [=](const Run& run) {
    for (Index n = 0; n < run.count; ++n) {
      const float* __restrict from = table + (run.row + n * run.by) * features;
      auto* __restrict product = reinterpret_cast<float*>(run.to + n * step);
      const float factor = factors[run.of_track + n * run.by];
      for (Index f = 0; f < features; ++f) product[f] = bounded(from[f] * factor, limit);
    }
  });
}

// Rows of whole pieces, whose size the compiler knows: rows are short, and a call for each would cost more than they do.
template <Index piece>
void copy(const Gathered& part, const Lanes& lanes, Index begin, Index end) {
  const Index width = part.width, step = part.step;
  const std::byte* table = part.table;
  for_runs(part, lanes, begin, end, [=](const Run& run) {
    for (Index n = 0; n < run.count; ++n) {
      const std::byte* from = table + (run.row + n * run.by) * width;
      for (Index at = 0; at < width; at += piece) std::memcpy(run.to + n * step + at, from + at, piece);
    }
  });
}

// Zeros where nothing is to be read any more.
void clear(const Gathered& part, const Lanes& lanes, Index begin, Index end) {
  for (Index b = 0; b < lanes.count; ++b) {
    for (Index t = std::max(begin, part.until[b] - lanes.first[b] - part.lead); t < end; ++t) {
      std::memset(part.to + t * part.step + b * part.lane, 0, std::size_t(part.width));
    }
  }
}

void gather_steps(const Gathered& part, const Lanes& lanes, Index begin, Index end) {
  const auto fill = part.factor ? &multiply : part.width % 16 == 0 ? &copy<16> : &copy<4>;
  fill(part, lanes, begin, end);
  if (part.until) clear(part, lanes, begin, end);
}

}  // namespace

void gather(const Gathered* parts, int count, const Lanes& lanes, int threads) {
  struct Piece {
    const Gathered* part;
    Index begin, end;
  };
  std::vector<Piece> pieces;
  Index bytes = 0;
  for (const Gathered* part = parts; part < parts + count; ++part) {
    if (part->width == 0) continue;
    bytes += part->time * lanes.count * part->width;
    for (Index t = 0; t < part->time; t += stretch) pieces.push_back({part, t, std::min(t + stretch, part->time)});
  }
  const auto most = std::max<Index>(Index(pieces.size()), 1);
  deal(Index(pieces.size()), bytes < too_few ? 1 : int(std::clamp<Index>(threads, 1, most)), [&](Index n, int) {
    gather_steps(*pieces[n].part, lanes, pieces[n].begin, pieces[n].end);
  });
}

}  // namespace foretell
