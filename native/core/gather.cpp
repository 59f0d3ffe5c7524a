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

// Calls each(row in the table, row of the track, to) for the steps [begin, end) of every lane, whose rows lie side by
// side.
template <class Function>
void for_rows(const Gathered& part, const Lanes& lanes, Index begin, Index end, const Function& each) {
  for (Index b = 0; b < lanes.count; ++b) {
    // By value, for the compiler cannot know that what is written is none of them.
    const Index track = lanes.track[b], least = lanes.begin[b], most = lanes.end[b] - 1, step = part.step;
    const Index base = part.of_tracks ? track : 0, last = lanes.first[b] + part.lead + end;
    std::byte* to = part.to + begin * step + b * part.lane;
    for (Index at = last - (end - begin); at < last; ++at, to += step) {
      const Index row = std::max(least, std::min(at, most));
      each(row + base, row + track, to);
    }
  }
}

// A NaN stays one.
float bounded(float value, float limit) {
  const float from_above = limit < value ? limit : value;
  return -limit > from_above ? -limit : from_above;
}

void multiply(const Gathered& part, const Lanes& lanes, Index begin, Index end) {
  const Index features = part.width / Index(sizeof(float));
  const auto* table = reinterpret_cast<const float*>(part.table);
  const float *factors = part.factor, limit = part.limit;
  for_rows(part, lanes, begin, end, [=](Index row, Index of_track, std::byte* to) {
    const float* from = table + row * features;
    auto* product = reinterpret_cast<float*>(to);
    const float factor = factors[of_track];
    for (Index f = 0; f < features; ++f) product[f] = bounded(from[f] * factor, limit);
  });
}

// Rows of whole pieces, whose size the compiler knows: rows are short, and a call for each would cost more than they do.
template <Index piece>
void copy(const Gathered& part, const Lanes& lanes, Index begin, Index end) {
  const Index width = part.width;
  const std::byte* table = part.table;
  for_rows(part, lanes, begin, end, [=](Index row, Index, std::byte* to) {
    const std::byte* from = table + row * width;
    for (Index at = 0; at < width; at += piece) std::memcpy(to + at, from + at, piece);
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
