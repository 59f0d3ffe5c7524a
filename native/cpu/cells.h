// The cell at a step: from its gates before activation and the state before it to the state after it and h.
#pragma once

#include "activations.h"
#include "run.h"
#include "tiles.h"

namespace foretell::FORETELL_VARIANT {

template <class Number>
class Cells : protected Run<Number> {
 protected:
  using Base = Run<Number>;
  using Real = Wide<Number>;
  using Base::at, Base::cell, Base::computed, Base::f, Base::pairs, Base::V, Base::zoneout;

  Cells(const Forward<Number>& f, const Real* packed, const Scratch<Real>& scratch, const Team& team)
      : Base(f, team, scratch), weights(f.cell, packed) {}

  Real* gates(Index j, Index number) const { return computed.gates + (j * computed.pairs + number) * at.width; }

  // What follows from the recurrent product of some rows and blocks.  First all gates, then all outputs: no row waits
  // for another's long chain of operations.
  template <bool PLAIN>
  void run_cells(const RowAt<Number>* rows, Index count, Index first_block, Index last_block) {
    for (Index r = 0; r < count; ++r) {
      for (Index j = first_block; j < last_block; ++j) run_gates<PLAIN>(rows[r], j);
    }
    for (Index r = 0; r < count; ++r) {
      for (Index j = first_block; j < last_block; ++j) run_output<PLAIN>(rows[r], j);
    }
  }

  // Gates before activation -> gates and cell of one row's block of units.
  template <bool PLAIN>
  void run_gates(const RowAt<Number>& row, Index j) {
    const auto block = [&](int part) { return PLAIN ? part : at.block[part]; };
    const bool peepholes = !PLAIN && cell.peepholes;
    Real* memory = gates(j, row.number);
    const Vec<Real> one = all(Real(1));
    Vec<Real> a[4];
    for (int part = 0; part < 4; ++part) a[part] = block(part) < 0 ? one : load(memory + block(part) * V);
    const Vec<Real> before = load(row.c_before + j * row.c_stride);
    const Real* p = weights.peephole + j * 3 * V;
    Vec<Real> i = one, fg = one, o = one;
    if (block(0) >= 0) i = sigmoid<Real>(peepholes ? fma(load(p), before, a[0]) : a[0]);
    if (!PLAIN && cell.coupled) fg = one - i;
    if (block(1) >= 0) fg = sigmoid<Real>(peepholes ? fma(load(p + V), before, a[1]) : a[1]);
    const Vec<Real> g = PLAIN || cell.input_activation ? tanh<Real>(a[2]) : a[2];
    const Vec<Real> fresh = fma(fg, before, i * g);
    if (block(3) >= 0) o = sigmoid<Real>(peepholes ? fma(load(p + 2 * V), fresh, a[3]) : a[3]);
    const Vec<Real> values[4] = {i, fg, g, o};
    for (int part = 0; part < 4; ++part) {
      if (block(part) >= 0) store(memory + block(part) * V, values[part]);
    }
    if constexpr (PLAIN) return store(row.c_after + j * row.c_after_stride, fresh);
    Vec<Real> c = fresh;
    if (computed.fresh) store(computed.fresh + (j * computed.pairs + row.number) * V, fresh);
    zoneout.draw(j, row.number, row.caller, row.step);
    if (zoneout.of_c()) c = mix(zoneout.keep_c(j, row.number), before, fresh);
    store(row.c_after + j * row.c_after_stride, c);
    if (cell.gate_recurrence) keep_gates(row, j, values);
    if (f.activity[0]) record(row, j, {i, fg, g, o, c});
  }

  // o * tanh(u), and h of it unless there is a projection yet to come.
  template <bool PLAIN>
  void run_output(const RowAt<Number>& row, Index j) {
    if constexpr (PLAIN) {
      const Vec<Real> u = tanh<Real>(load(row.c_after + j * row.c_after_stride));
      const Vec<Real> out = u * load(gates(j, row.number) + 3 * V);
      return cell.projection ? keep_output(row, j, out) : store(row.y + j * V, out, at.units(j));
    }
    const Index where = (j * computed.pairs + row.number) * V;
    Vec<Real> u;
    if (cell.layer_norm) {
      u = fma(load(computed.normed_c + where), load(weights.norm_c + j * V), load(weights.bias_c + j * V));
    } else {
      u = load(computed.fresh ? computed.fresh + where : row.c_after + j * row.c_after_stride);
    }
    if (cell.output_activation) u = tanh<Real>(u);
    if (at.block[3] >= 0) u = u * load(gates(j, row.number) + at.block[3] * V);
    return cell.projection ? keep_output(row, j, u) : put_h(row, j, u, at.units(j));
  }

  // For the projection.
  void keep_output(const RowAt<Number>& row, Index j, Vec<Real> out) const {
    store(computed.outs + row.number * at.H + j * V, out, at.units(j));
  }

  static Vec<Real> mix(Vec<Real> keep, Vec<Real> old, Vec<Real> fresh) {
    return fma(keep, old, (all(Real(1)) - keep) * fresh);
  }

  void put_h(const RowAt<Number>& row, Index j, Vec<Real> out, int units) const {
    if (zoneout.of_h()) out = mix(zoneout.keep_h(j, row.number), load(row.h_before + j * V, units), out);
    store(row.y + j * V, out, units);
  }

  void keep_gates(const RowAt<Number>& row, Index j, const Vec<Real>* values) {
    for (int part = 0; part < 4; ++part) {
      if (at.gate[part] < 0) continue;
      Real* to = gates_before + (row.local * at.gates + at.gate[part]) * at.H + j * V;
      store(to, values[part], at.units(j));
    }
  }

  void record(const RowAt<Number>& row, Index j, const Vec<Real> (&values)[5]) const {
    const Index where = (row.step * f.rows.batch + row.caller) * at.H + j * V;
    for (int part = 0; part < 5; ++part) store(f.activity[part] + where, values[part], at.units(j));
  }

  const Packed<Number> weights;
  Real* gates_before;  // with gate recurrence, of the step before, [rows][nH]
};

}  // namespace foretell::FORETELL_VARIANT
