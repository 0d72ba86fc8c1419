// KNIT BACKUP: a copy of the data, for the day when all nodes have lost them or somebody has deleted what he
// should not.
#include <memory>
#include <string>

#include "daemon/redis/backup_admin.h"
#include "daemon/redis/call.h"

namespace knit {

namespace {

class BackupMade final : public Condition {
 public:
  BackupMade(const BackupAdmin& admin, std::uint64_t number, Millis begun)
      : admin_(admin), number_(number), begun_(begun) {}
  bool met(const Node&) const override { return admin_.outcome(number_).has_value(); }
  void answer(Reply& reply, const Node&, Now now, bool in_time) const override {
    if (!in_time) return reply.error("ERR not waited for: the backup goes on unless the daemon stops");
    const auto done = *admin_.outcome(number_);
    if (!done) return reply.error("ERR " + done.error().message);
    reply.map(3);
    reply.bulk("path");
    reply.bulk(done->path);
    reply.bulk("bytes");
    reply.integer(static_cast<std::int64_t>(done->bytes));
    reply.bulk("duration_ms");
    reply.integer((now.steady - begun_).count());
  }

 private:
  const BackupAdmin& admin_;
  std::uint64_t number_;
  Millis begun_;
};

// It writes to a path of this host, so whoever asks must be on it.
void backup(Call& call) {
  BackupAdmin* admin = call.server().hooks.backups;
  if (admin == nullptr) return call.reply.error("ERR this node makes no backups");
  if (!call.session().peer().unix_socket)
    return call.reply.error("ERR a backup is a file on this host: ask over the UNIX socket");
  const std::string path(call[2]);
  if (!path.starts_with('/') || path.ends_with('/') || path.find('\0') != std::string::npos)
    return call.reply.error("ERR expected the path of a file, from / on");
  const auto begun = admin->begin(path, call.node().store().applied());
  if (!begun) return call.reply.error("ERR " + begun.error().message);
  call.wait_for(std::make_unique<BackupMade>(*admin, *begun, call.now().steady), Millis{0});
}

using namespace command_flag;

constexpr Command table[] = {
    {"knit|backup", 3, admin | blocking, 0, 0, 0, "knit", "path",
     "Writes all that this node holds into a new file on its host, while it goes on.", backup},
};

}  // namespace

std::span<const Command> backup_commands() { return table; }

}  // namespace knit
