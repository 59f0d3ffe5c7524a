// Memory that a thread keeps from call to call, for fresh pages cost more than small layers take; but not much of it.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace foretell {

class Arena {
 public:
  static constexpr std::size_t kept = std::size_t(128) << 20, alignment = 4096;  // bytes; a page

  std::byte* reserve(std::size_t bytes) {
    if (bytes <= size_) return memory_.get();
    memory_.reset();
    size_ = 0;
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, rounded)));
    if (!memory_) throw std::bad_alloc();
    size_ = rounded;
    return memory_.get();
  }
  void shrink() {
    if (size_ <= kept) return;
    memory_.reset();
    size_ = 0;
  }

  static Arena& of_thread() {
    thread_local Arena own;
    return own;
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace foretell
