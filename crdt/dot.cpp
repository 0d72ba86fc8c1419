#include "crdt/dot.h"

#include "base/bytes.h"

namespace knit {

std::string to_string(ActorId actor) {
  std::string bytes;
  ByteWriter(bytes).u64(actor.value);
  return to_hex(bytes);
}

std::string to_string(Dot dot) { return to_string(dot.actor) + ":" + std::to_string(dot.sequence); }

}  // namespace knit
