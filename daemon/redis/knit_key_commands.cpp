// KNIT KEYS. Secrets do not pass here: ADD names a file that the daemon reads itself.
#include "daemon/redis/call.h"
#include "daemon/redis/key_admin.h"
#include "daemon/redis/knit_commands.h"

namespace knit {

namespace {

void list(Call& call, const KeyAdmin& keys) {
  const auto all = keys.list();
  call.reply.array(all.size());
  for (const KeyAdmin::Key& key : all) {
    MapReply map(call.reply.protocol());
    map.text("fingerprint", key.fingerprint);
    map.flag("primary", key.primary);
    map.write_to(call.reply);
  }
}

}  // namespace

void knit_keys(Call& call) {
  KeyAdmin* keys = call.server().hooks.keys;
  if (keys == nullptr || keys->list().empty()) {
    return call.reply.error(
        "ERR this node does not encrypt: give it a key with gossip.keyring_file, and restart it");
  }
  if (call.is(2, "list") && call.size() == 3) return list(call, *keys);
  const bool forced = call.size() == 5 && call.is(2, "remove") && call.is(4, "force");
  if (call.size() != 4 && !forced) return call.syntax_error();
  Result<void> done;
  if (call.is(2, "add")) {
    done = keys->add(std::string(call[3]));
  } else if (call.is(2, "use")) {
    done = keys->use(call[3]);
  } else if (call.is(2, "remove")) {
    done = keys->remove(call[3], forced);
  } else {
    return call.syntax_error();
  }
  if (!done) return call.reply.error(done.error());
  call.reply.ok();
}

}  // namespace knit
