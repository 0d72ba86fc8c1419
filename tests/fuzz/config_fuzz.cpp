// Config files: what is taken can be used, what is not is told.
#include "daemon/config.h"
#include "tests/fuzz/fuzz.h"

using namespace knit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config = parse_config(fuzz::text_of(data, size), "knit.toml");
  if (!config) {
    check(!config.error().empty(), "an error is told");
    for (const std::string& error : config.error())
      check(error.starts_with("knit.toml"), "an error names its file");
    return 0;
  }
  if (!config->gossip.insecure && keyring_path(*config).empty()) {
    check(is_loopback(peer_bind_address(*config)) && is_loopback(peer_advertised_address(*config)),
          "without keys peers are at loopback addresses");
  }
  check(!to_string(peer_advertised_address(*config)).empty() &&
            node_tags(*config).size() <= config->node.tags.size(),
        "what follows from a config can be had");
  check(!node_name(*config).empty(), "a node has a name");
  return 0;
}
