// Large memory for Python that is used again: what forward saves for backward comes and goes with every training step,
// and the system would clear fresh pages each time, which takes about as long as filling them.
#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

#include "bindings.h"

namespace nb = nanobind;

namespace {

class Pool {
 public:
  static constexpr std::size_t kept = std::size_t(256) << 20, alignment = 4096;

  // At least so many bytes; `bytes` becomes how many.
  void* take(std::size_t& bytes) {
    bytes = (bytes + alignment) / alignment * alignment;
    {
      const std::lock_guard lock(mutex_);
      const auto found = free_.lower_bound(bytes);
      if (found != free_.end() && found->first <= bytes + bytes / 4) {
        void* memory = found->second;
        bytes = found->first;
        held_ -= bytes;
        free_.erase(found);
        return memory;
      }
    }
    void* memory = std::aligned_alloc(alignment, bytes);
    if (!memory) throw std::bad_alloc();
    return memory;
  }

  void give(void* memory, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    while (!free_.empty() && held_ + bytes > kept) {  // sizes of an earlier network make room
      const auto largest = std::prev(free_.end());
      held_ -= largest->first;
      std::free(largest->second);
      free_.erase(largest);
    }
    if (held_ + bytes > kept) return std::free(memory);
    held_ += bytes;
    free_.emplace(bytes, memory);
  }

 private:
  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;
  std::size_t held_ = 0;
};

Pool& pool() {
  static Pool& all = *new Pool;  // for as long as the process: tensors may outlive this library's end
  return all;
}

// Memory with Python's buffer protocol, so that torch.frombuffer makes a tensor that keeps it alive.
struct Memory {
  explicit Memory(std::size_t size) : bytes(size), room(size) { data = pool().take(room); }
  ~Memory() { pool().give(data, room); }
  Memory(const Memory&) = delete;

  std::size_t bytes, room;
  void* data;
};

int fill_view(PyObject* self, Py_buffer* view, int flags) {
  const Memory& memory = *nb::inst_ptr<Memory>(self);
  return PyBuffer_FillInfo(view, self, memory.data, Py_ssize_t(memory.bytes), 0, flags);
}

}  // namespace

void bind_memory(nb::module_& module) {
  static PyType_Slot slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(&fill_view)}, {0, nullptr}};
  nb::class_<Memory>(module, "Memory", nb::type_slots(slots)).def(nb::init<std::size_t>());
}
