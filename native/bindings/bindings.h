// One function for each file of the module.
#pragma once

#include <nanobind/nanobind.h>

void bind_adamw(nanobind::module_& module);
void bind_encode(nanobind::module_& module);
void bind_gather(nanobind::module_& module);
void bind_lstm(nanobind::module_& module);
void bind_memory(nanobind::module_& module);
void bind_stepper(nanobind::module_& module);
void bind_head(nanobind::module_& module);
