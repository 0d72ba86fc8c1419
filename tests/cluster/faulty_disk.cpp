// A library to preload: the disk calls of a program, on files below one directory, fail, come short, take
// long or do nothing, as a control file says that both sides have mapped.
//
//   KNIT_FAULT_DIRECTORY  the directory, an absolute path without links
//   KNIT_FAULT_CONTROL    the control file: `Control`, made by the test
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

namespace {

using Number = std::atomic<std::uint64_t>;

// Numbers, so that a test can read and write them while the program runs.
struct Control {
  Number calls;          // Of the kinds asked for, so far.
  Number fail_from;      // The first call that fails, counted from 1; 0: none.
  Number fail_count;     // How many in a row.
  Number error;          // The errno; 0: a write comes short.
  Number kinds;          // Bits, as in Kind.
  Number sync_delay_ms;  // Before each sync.
  Number lie;            // Not 0: a sync does nothing and succeeds.
  Number failed;         // Calls that were made to fail, so far.
  Number failed_kind;    // Of the last one.
};

enum Kind : std::uint64_t { writes = 1, syncs = 2, sizes = 4, renames = 8 };

struct Shim {
  std::string directory;
  Control* control = nullptr;
};

Shim make_shim() {
  const char* directory = std::getenv("KNIT_FAULT_DIRECTORY");
  const char* path = std::getenv("KNIT_FAULT_CONTROL");
  if (!directory || !path) return {};
  const int file = ::open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return {};
  void* memory = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (memory == MAP_FAILED) return {};
  return {std::string(directory) + "/", static_cast<Control*>(memory)};
}

const Shim& shim() {
  static const Shim one = make_shim();
  return one;
}

bool is_below(const char* path) {
  return shim().control && std::strncmp(path, shim().directory.c_str(), shim().directory.size()) == 0;
}

bool is_below(int file) {
  if (!shim().control) return false;
  std::array<char, 32> link;
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", file);
  std::array<char, 4096> path;
  const ssize_t size = ::readlink(link.data(), path.data(), path.size() - 1);
  if (size <= 0) return false;
  path[static_cast<std::size_t>(size)] = 0;
  return is_below(path.data());
}

// Counts the call, and says whether it is one that fails.
bool counted_to_fail(Kind kind) {
  Control& control = *shim().control;
  if ((control.kinds & kind) == 0) return false;
  const std::uint64_t call = ++control.calls;
  const std::uint64_t from = control.fail_from;
  if (from == 0 || call < from || call - from >= control.fail_count) return false;
  ++control.failed;
  control.failed_kind = kind;
  return true;
}

int fault() { return static_cast<int>(shim().control->error); }

template <class Function>
Function* real(Function*, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}
#define REAL(name)                                  \
  ([] {                                             \
    static const auto found = real(&::name, #name); \
    return found;                                   \
  }())

// A failure, or half of the bytes, or all.
template <class Write>
ssize_t write_some(int file, std::size_t size, Write write) {
  if (!is_below(file) || !counted_to_fail(writes)) return write(size);
  if (fault() == 0) return write(size / 2);
  errno = fault();
  return -1;
}

// Of several pieces only the first one is written, or half of it.
template <class Write>
ssize_t write_pieces(int file, const iovec* pieces, int count, Write write) {
  if (!is_below(file) || !counted_to_fail(writes)) return write(pieces, count);
  if (fault() != 0) {
    errno = fault();
    return -1;
  }
  iovec half = pieces[0];
  half.iov_len /= 2;
  return write(&half, 1);
}

template <class Sync>
int sync(int file, Sync sync_really) {
  if (!is_below(file)) return sync_really();
  if (const std::uint64_t delay = shim().control->sync_delay_ms; delay != 0) {
    const timespec time{static_cast<time_t>(delay / 1000), static_cast<long>(delay % 1000) * 1000000};
    ::nanosleep(&time, nullptr);
  }
  if (counted_to_fail(syncs) && fault() != 0) {
    errno = fault();
    return -1;
  }
  return shim().control->lie != 0 ? 0 : sync_really();
}

// The error for a call of this kind that is to fail, else 0.
int fault_of(bool below, Kind kind) { return below && counted_to_fail(kind) ? fault() : 0; }

template <class Call>
int resize(int file, Call call) {
  if (const int error = fault_of(is_below(file), sizes); error != 0) {
    errno = error;
    return -1;
  }
  return call();
}

template <class Call>
int allocate(int file, Call call) {  // The one that answers its error.
  const int error = fault_of(is_below(file), sizes);
  return error != 0 ? error : call();
}

}  // namespace

extern "C" {

ssize_t write(int file, const void* data, size_t size) {
  return write_some(file, size, [&](std::size_t part) { return REAL(write)(file, data, part); });
}

ssize_t pwrite(int file, const void* data, size_t size, off_t at) {
  return write_some(file, size, [&](std::size_t part) { return REAL(pwrite)(file, data, part, at); });
}

ssize_t pwrite64(int file, const void* data, size_t size, off64_t at) {
  return write_some(file, size, [&](std::size_t part) { return REAL(pwrite64)(file, data, part, at); });
}

ssize_t writev(int file, const iovec* pieces, int count) {
  return write_pieces(file, pieces, count,
                      [&](const iovec* some, int number) { return REAL(writev)(file, some, number); });
}

ssize_t pwritev(int file, const iovec* pieces, int count, off_t at) {
  return write_pieces(file, pieces, count,
                      [&](const iovec* some, int number) { return REAL(pwritev)(file, some, number, at); });
}

ssize_t pwritev64(int file, const iovec* pieces, int count, off64_t at) {
  return write_pieces(file, pieces, count,
                      [&](const iovec* some, int number) { return REAL(pwritev64)(file, some, number, at); });
}

int fsync(int file) {
  return sync(file, [&] { return REAL(fsync)(file); });
}

int fdatasync(int file) {
  return sync(file, [&] { return REAL(fdatasync)(file); });
}

int ftruncate(int file, off_t size) noexcept {
  return resize(file, [&] { return REAL(ftruncate)(file, size); });
}

int ftruncate64(int file, off64_t size) noexcept {
  return resize(file, [&] { return REAL(ftruncate64)(file, size); });
}

int fallocate(int file, int mode, off_t at, off_t size) {
  return resize(file, [&] { return REAL(fallocate)(file, mode, at, size); });
}

int fallocate64(int file, int mode, off64_t at, off64_t size) {
  return resize(file, [&] { return REAL(fallocate64)(file, mode, at, size); });
}

int posix_fallocate(int file, off_t at, off_t size) {
  return allocate(file, [&] { return REAL(posix_fallocate)(file, at, size); });
}

int posix_fallocate64(int file, off64_t at, off64_t size) {
  return allocate(file, [&] { return REAL(posix_fallocate64)(file, at, size); });
}

int rename(const char* from, const char* to) noexcept {
  if (const int error = fault_of(is_below(to), renames); error != 0) {
    errno = error;
    return -1;
  }
  return REAL(rename)(from, to);
}

}  // extern "C"
