#include "store/lmdb/environment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "store/lmdb/file_descriptor.h"
#include "store/lmdb/meta_pages.h"

namespace knit {

namespace {

// Below this a disk counts as full. More than what file systems leave over beside a short write.
constexpr std::uint64_t nearly_full_bytes = std::uint64_t{4} << 20;
constexpr std::size_t free_entries_max = 1000;

Result<void> check_options(const LmdbOptions& options) {
  const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (sizeof(void*) >= 8 && options.map_bytes >= LmdbOptions::map_bytes_min &&
      options.map_bytes <= LmdbOptions::map_bytes_max && options.map_bytes % page_bytes == 0) {
    return {};
  }
  return fail(ErrorCode::bad_input, "map_bytes must be a multiple of " + std::to_string(page_bytes) +
                                        " from " + std::to_string(LmdbOptions::map_bytes_min) + " to " +
                                        std::to_string(LmdbOptions::map_bytes_max) + ", on a 64-bit system");
}

// Empty if the system does not say.
std::optional<std::uint64_t> disk_bytes_free(MDB_env* env) {
  int file = -1;
  struct statvfs disk{};
  if (mdb_env_get_fd(env, &file) != 0 || ::fstatvfs(file, &disk) != 0) return std::nullopt;
  return std::uint64_t{disk.f_bavail} * disk.f_frsize;
}

MDB_envinfo information(MDB_env* env) {
  MDB_envinfo info{};
  mdb_env_info(env, &info);
  return info;
}

ErrorCode meaning(int code, bool disk_full) {
  switch (code) {
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT: return ErrorCode::disk_full;
    case EIO: return disk_full ? ErrorCode::disk_full : ErrorCode::io;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_NOTFOUND:      // What must be there,
    case MDB_INCOMPATIBLE:  // or is of another kind;
    case MDB_BAD_TXN:       // what follows one of these;
    case MDB_CURSOR_FULL:   // and what a sound tree cannot lead to.
    case MDB_PAGE_FULL: return ErrorCode::corrupt;
    case MDB_VERSION_MISMATCH: return ErrorCode::wrong_format;
    default: return ErrorCode::io;
  }
}

const char* advice(int code, std::string_view call) {
  switch (code) {
    case MDB_MAP_FULL: return "; raise map_bytes";
    case MDB_PANIC: return "; restart to go on";
    case ENOMEM:
      return call == "mdb_env_open" ? "; is the address space limited (ulimit -v)? lower map_bytes" : "";
    default: return "";
  }
}

// The journal belongs to what the file holds, so the two go together.
std::string damage_of(const std::string& directory, const std::string& seen) {
  return "the database file " + directory + "/data.mdb is damaged (" + seen + "); move " + directory +
         " away and let the peers fill a new one";
}

// LMDB met what cannot be, in a place from which it does not return.
void end_damaged(MDB_env*, const char* text) {
  std::fprintf(
      stderr,
      "knitd: the database file is damaged (%s); move the data directory away and let the peers fill "
      "a new one\n",
      text);
  std::_Exit(1);
}

// All tables are made at once, so a file that has some and lacks one is damaged.
int choose_table_flags(MDB_txn* txn, unsigned& flags) {
  MDB_dbi table_of_tables = 0;
  MDB_stat stat{};
  if (const int code = mdb_dbi_open(txn, nullptr, 0, &table_of_tables); code != 0) return code;
  if (const int code = mdb_stat(txn, table_of_tables, &stat); code != 0) return code;
  flags = stat.ms_entries == 0 ? MDB_CREATE : 0;
  return stat.ms_entries == 0 || stat.ms_entries == tables ? 0 : MDB_CORRUPTED;
}

int open_tables(MDB_env* env, std::array<MDB_dbi, tables>& opened) {
  MDB_txn* raw = nullptr;
  if (const int code = mdb_txn_begin(env, nullptr, 0, &raw); code != 0) return code;
  TxnHandle txn(raw);
  unsigned flags = 0;
  if (const int code = choose_table_flags(raw, flags); code != 0) return code;
  constexpr std::array<const char*, tables> names{"rows", "log", "meta"};
  for (std::size_t i = 0; i < tables; ++i) {
    if (const int code = mdb_dbi_open(txn.get(), names[i], flags, &opened[i]); code != 0) return code;
  }
  return mdb_txn_commit(txn.release());
}

// LMDB maps its lock file, writable and with holes: without a free block to fill one, the first touch
// is a SIGBUS. So the blocks are taken beforehand.
int reserve_lock_file(const std::string& directory) {
  constexpr off_t bytes = 8192;  // Not less than the table of MDB's 126 readers by default.
  const FileDescriptor file(::open((directory + "/lock.mdb").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  return file.valid() ? ::posix_fallocate(file.number(), 0, bytes) : errno;
}

// LMDB begins a file with two meta pages. If the disk filled up between them, at the birth of the
// directory, the file holds nothing, and LMDB would refuse it for ever.
int remove_stillborn(const std::string& directory) {
  const std::string path = directory + "/data.mdb";
  struct stat file{};
  if (::stat(path.c_str(), &file) != 0) return errno == ENOENT ? 0 : errno;
  if (file.st_size >= 2 * ::sysconf(_SC_PAGESIZE)) return 0;
  return ::unlink(path.c_str()) == 0 ? 0 : errno;
}

// Answers the code of the first call that failed, and which it was.
int open_env(MDB_env* env, const LmdbOptions& options, const char*& call) {
  const unsigned flags = MDB_NOTLS | (options.read_ahead ? 0u : MDB_NORDAHEAD);
  call = "mdb_env_set_maxdbs";
  if (const int code = mdb_env_set_maxdbs(env, tables); code != 0) return code;
  call = "mdb_env_set_mapsize";
  if (const int code = mdb_env_set_mapsize(env, options.map_bytes); code != 0) return code;
  call = "posix_fallocate lock.mdb";
  if (const int code = reserve_lock_file(options.directory); code != 0) return code;
  call = "unlink data.mdb";
  if (const int code = remove_stillborn(options.directory); code != 0) return code;
  call = "mdb_env_open";
  if (const int code = mdb_env_open(env, options.directory.c_str(), flags, 0600); code != 0) return code;
  call = "mdb_reader_check";  // Slots of dead readers would keep old pages alive for ever.
  int dead = 0;
  return mdb_reader_check(env, &dead);
}

}  // namespace

Result<Environment> Environment::open(const LmdbOptions& options) {
  if (auto valid = check_options(options); !valid) return tl::unexpected(valid.error());
  Environment environment;
  MDB_env* raw = nullptr;
  if (const int code = mdb_env_create(&raw); code != 0) {
    return fail(ErrorCode::io, std::string("mdb_env_create: ") + mdb_strerror(code));
  }
  environment.env_.reset(raw);
  environment.directory_ = options.directory;
  mdb_env_set_assert(raw, end_damaged);
  if (auto checked = check_meta_pages(options.directory + "/data.mdb", options.map_bytes); !checked) {
    if (checked.error().code != ErrorCode::corrupt) return tl::unexpected(checked.error());
    return fail(ErrorCode::corrupt, damage_of(options.directory, checked.error().message));
  }
  const char* call = "";
  if (const int code = open_env(raw, options, call); code != 0) {
    return tl::unexpected(environment.error(code, call));
  }
  MDB_stat stat{};
  mdb_env_stat(raw, &stat);
  environment.page_bytes_ = stat.ms_psize;
  if (const int code = open_tables(raw, environment.tables_); code != 0) {
    return tl::unexpected(environment.error(code, "mdb_dbi_open"));
  }
  return environment;
}

Error Environment::error(int code, const char* call) const {
  const auto free = disk_bytes_free(env_.get());
  const bool disk_full = free && *free < nearly_full_bytes;
  const std::string said = std::string(call) + ": " + mdb_strerror(code) + advice(code, call);
  const ErrorCode means = meaning(code, disk_full);
  return {means, means == ErrorCode::corrupt ? damage_of(directory_, said) : said};
}

Error Environment::commit_error(int code) const {
  MDB_txn* raw = nullptr;
  if (mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &raw) == MDB_PANIC) {
    return {ErrorCode::io, std::string("mdb_txn_commit: writing the meta page failed: ") +
                               mdb_strerror(code) + advice(MDB_PANIC, {})};
  }
  TxnHandle(raw).reset();
  // Pages are written where the free list says, and it said something that no file has.
  const bool nowhere = code == EFBIG || code == EINVAL;
  return error(nowhere ? MDB_CORRUPTED : code, "mdb_txn_commit");
}

std::uint64_t Environment::bytes_used() const {
  return (information(env_.get()).me_last_pgno + 1) * page_bytes_;
}

std::uint64_t Environment::bytes_growable() const {
  const std::uint64_t map_bytes = information(env_.get()).me_mapsize;
  const std::uint64_t used = bytes_used();
  return std::min(map_bytes - std::min(used, map_bytes), disk_bytes_free(env_.get()).value_or(0));
}

std::uint64_t Environment::count_bytes_reusable() const {
  constexpr MDB_dbi free_list = 0;  // transaction -> number of pages it freed, then their numbers
  MDB_txn* raw = nullptr;
  if (mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &raw) != 0) return 0;
  const TxnHandle txn(raw);
  MDB_cursor* raw_cursor = nullptr;
  if (mdb_cursor_open(txn.get(), free_list, &raw_cursor) != 0) return 0;
  const CursorHandle cursor(raw_cursor);
  std::uint64_t pages = 0;
  MDB_val key{};
  MDB_val value{};
  for (std::size_t i = 0; i < free_entries_max; ++i) {
    if (mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT) != 0) break;
    std::size_t count = 0;
    std::memcpy(&count, value.mv_data, std::min(sizeof(count), value.mv_size));
    pages += count;
  }
  return pages * page_bytes_;
}

}  // namespace knit
