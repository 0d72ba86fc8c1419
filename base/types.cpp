#include "base/types.h"

#include "base/bytes.h"

namespace knit {

std::string to_string(NodeId id) {
  std::string bytes;
  ByteWriter(bytes).u64(id.value);
  return to_hex(bytes);
}

}  // namespace knit
