// The directory that holds all of one node: ours alone, and of a format that we read.
//
//   knit.lock   locked (flock) by the daemon that uses the directory; holds its process id as text
//   format      "knit 2\n": the version of everything else in here
//   cluster.key, keyring    what the daemon learnt of its cluster before there were any data
//
// Whoever changes the meaning of stored bytes raises format_version.
#pragma once

#include <string>

#include "base/result.h"
#include "store/lmdb/file_descriptor.h"

namespace knit {

class DataDirectory {
 public:
  static constexpr unsigned format_version = 2;

  // Makes the directory (mode 0700, its parent must exist) if it is absent, and locks it. Errors:
  // refused if another process uses it, or if it holds other things than ours: such a directory is
  // left untouched; wrong_format if a newer or an older knit wrote it; disk_full and io.
  static Result<DataDirectory> open(const std::string& path);

  const std::string& path() const { return path_; }

 private:
  DataDirectory(std::string path, FileDescriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  FileDescriptor lock_;  // The lock goes with it, however the process ends.
};

}  // namespace knit
