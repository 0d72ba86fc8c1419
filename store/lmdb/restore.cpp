#include "store/lmdb/restore.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "store/lmdb/data_directory.h"
#include "store/lmdb/environment.h"
#include "store/lmdb/journal_segment.h"
#include "store/lmdb/meta_pages.h"
#include "store/lmdb/place.h"
#include "store/restored.h"

namespace knit {

namespace {

std::string data_file(const std::string& directory) { return directory + "/data.mdb"; }

Result<void> copy_file(const std::string& from, const std::string& to) {
  std::error_code error;
  if (!std::filesystem::exists(from, error)) return fail(ErrorCode::not_found, "there is no " + from);
  if (!std::filesystem::is_regular_file(from, error))
    return fail(ErrorCode::refused, from + " is not a file that `knit backup` wrote");
  std::filesystem::copy_file(from, to, error);
  if (!error) return {};
  const bool full = error == std::errc::no_space_on_device;
  return fail(full ? ErrorCode::disk_full : ErrorCode::io,
              "copy " + from + " to " + to + ": " + error.message());
}

MDB_val as_value(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }

// Gives the data another owner.
Result<Restored> rename_owner(const Environment& environment, const NodeIdentity& fresh,
                              std::uint64_t place) {
  MDB_txn* raw = nullptr;
  if (const int code = mdb_txn_begin(environment.get(), nullptr, 0, &raw); code != 0)
    return tl::unexpected(environment.error(code, "mdb_txn_begin"));
  TxnHandle txn(raw);
  MDB_val name = as_value(identity_record);
  MDB_val found{};
  const MDB_dbi meta = environment.table(Table::meta);
  if (const int code = mdb_get(raw, meta, &name, &found); code != 0)
    return fail(ErrorCode::corrupt, "the file holds no data of knit");
  const std::string record(static_cast<const char*>(found.mv_data), found.mv_size);
  auto cluster = cluster_named_in(record);
  if (!cluster) return tl::unexpected(cluster.error());
  const auto renamed = with_identity(record, fresh, place);
  if (!renamed) return tl::unexpected(renamed.error());
  MDB_val value = as_value(*renamed);
  if (const int code = mdb_put(raw, meta, &name, &value, 0); code != 0)
    return tl::unexpected(environment.error(code, "mdb_put"));
  MDB_stat rows{};
  if (const int code = mdb_stat(raw, environment.table(Table::rows), &rows); code != 0)
    return tl::unexpected(environment.error(code, "mdb_stat"));
  if (const int code = mdb_txn_commit(txn.release()); code != 0)
    return tl::unexpected(environment.commit_error(code));
  return Restored{*std::move(cluster), rows.ms_entries, environment.bytes_used()};
}

// In one synchronous transaction.
Result<Restored> rename_in(const LmdbOptions& data, const NodeIdentity& fresh) {
  const auto environment = Environment::open(data);
  if (!environment) return tl::unexpected(environment.error());
  auto renamed = rename_owner(*environment, fresh, place_of(data_file(data.directory)));
  if (renamed && mdb_env_sync(environment->get(), 1) != 0)
    return fail(ErrorCode::io, "cannot sync " + data_file(data.directory));
  return renamed;
}

// Of whoever the directory belongs to: the daemon that is to use it need not be the one who restores.
void give_to_owner(const std::string& directory) {
  struct stat owner{};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &owner) != 0) return;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error))
    static_cast<void>(::lchown(entry.path().c_str(), owner.st_uid, owner.st_gid));
}

Result<Restored> fill(const std::string& file, const std::string& directory, const NodeIdentity& fresh) {
  if (auto copied = copy_file(file, data_file(directory)); !copied) return tl::unexpected(copied.error());
  if (auto whole = check_whole_copy(data_file(directory)); !whole) return tl::unexpected(whole.error());
  ::chmod(data_file(directory).c_str(), 0600);
  LmdbOptions options;
  options.directory = directory;
  return rename_in(options, fresh);
}

}  // namespace

Result<void> rename_data(const std::string& directory, std::uint64_t map_bytes, const NodeIdentity& fresh) {
  const auto locked = DataDirectory::open(directory);
  if (!locked) return tl::unexpected(locked.error());
  std::error_code error;  // The journal names its owner: it goes first.
  std::filesystem::remove_all(directory + "/journal", error);
  if (error) return fail(ErrorCode::io, "remove " + directory + "/journal: " + error.message());
  if (auto synced = sync_directory(directory); !synced) return synced;
  LmdbOptions data;
  data.directory = directory;
  data.map_bytes = map_bytes;
  return rename_in(data, fresh).map([](const Restored&) {});
}

Result<Restored> restore_backup(const std::string& file, const std::string& directory,
                                const NodeIdentity& fresh) {
  const auto locked = DataDirectory::open(directory);
  if (!locked) return tl::unexpected(locked.error());
  std::error_code error;
  for (const char* part : {"/data.mdb", "/journal"}) {
    if (std::filesystem::exists(directory + part, error))
      return fail(ErrorCode::refused,
                  directory + " holds data already; move it away, or name another directory");
  }
  auto restored = fill(file, directory, fresh);
  if (restored) {
    give_to_owner(directory);
    return restored;
  }
  ::unlink(data_file(directory).c_str());
  ::unlink((directory + "/lock.mdb").c_str());
  if (restored.error().code == ErrorCode::corrupt)
    return fail(ErrorCode::corrupt, file + " is damaged, or was not written by `knit backup`");
  return restored;
}

}  // namespace knit
