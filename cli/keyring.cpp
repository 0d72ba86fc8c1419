// `knit keys`: the secret keys of gossip.
#include <fmt/format.h>
#include <sodium.h>

#include "base/check.h"
#include "cli/command.h"
#include "cli/text.h"
#include "gossip/key_text.h"
#include "store/secret_file.h"

namespace knit {
namespace {

void show(const Arguments& arguments, const std::string& fingerprint, const std::string& text) {
  Json document{{"fingerprint", fingerprint}};
  if (arguments.out.empty()) {
    document["key_file"] = text;
  } else {
    document["file"] = arguments.out;
  }
  if (arguments.json) {
    fmt::print("{}\n", printed(document));
  } else if (arguments.out.empty()) {
    fmt::print("{}", text);
  } else {
    fmt::print("key {} is in {}; give it to knitd with gossip.keyring_file or `knit keys add`\n", fingerprint,
               escaped(arguments.out, 200));
  }
}

Result<ExitCode> run_generate(const Arguments& arguments) {
  check(sodium_init() >= 0, "libsodium has a source of random numbers");
  const SecretKey key = SecretKey::random();
  std::string text = key_text(key);
  Result<void> written;
  if (!arguments.out.empty()) written = create_secret_file(arguments.out, text, "a key");
  if (written) show(arguments, to_string(key.fingerprint()), text);
  wipe(text);
  if (!written) return fail(ErrorCode::refused, written.error().message);  // No daemon is involved.
  return ExitCode::fine;
}

}  // namespace

void add_keyring(CLI::App& app, Command& command) {
  CLI::App* keys = app.add_subcommand("keys", "the secret keys that nodes seal their messages with");
  keys->require_subcommand(1);
  keys->fallthrough();
  CLI::App* generate =
      add_verb(*keys, command, "generate", "make a key, as the content of a key file", run_generate);
  generate->add_option("--out", command.arguments.out,
                       "write it to this file, which must not exist, readable by its owner alone; "
                       "else it is printed");
}

}  // namespace knit
