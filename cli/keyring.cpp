// `knit keys`: the secret keys of gossip.
#include <fmt/format.h>
#include <sodium.h>

#include <filesystem>

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

Result<ExitCode> run_list(const Arguments& arguments) {
  const auto reply = ask_once(arguments, {"KNIT", "KEYS", "LIST"});
  if (!reply) return tl::unexpected(reply.error());
  const Json keys = list_document(*reply);
  if (arguments.json) {
    fmt::print("{}\n", printed(keys));
    return ExitCode::fine;
  }
  Table table({"KEY", "USE"});
  for (const Json& key : keys) {
    table.add({text_of(key, "fingerprint"), flag_of(key, "primary") ? "seals and opens" : "opens"});
  }
  fmt::print("{}", table.text());
  return ExitCode::fine;
}

// `done` is what happened, on all nodes that can be reached.
Result<ExitCode> change(const Arguments& arguments, const Connection::Arguments& question,
                        const std::string& done) {
  const auto reply = ask_once(arguments, question);
  if (!reply) return tl::unexpected(reply.error());
  if (arguments.json) {
    fmt::print("{}\n", printed(Json{{"done", true}}));
  } else {
    fmt::print("{}\n", done);
  }
  return ExitCode::fine;
}

// The daemon reads the file, so that no secret passes through here.
Result<ExitCode> run_add(const Arguments& arguments) {
  const std::string path = std::filesystem::absolute(arguments.out).string();
  return change(arguments, {"KNIT", "KEYS", "ADD", path},
                "added: all nodes can open with it; when `knit keys list` shows it on each, use it");
}

Result<ExitCode> run_use(const Arguments& arguments) {
  return change(arguments, {"KNIT", "KEYS", "USE", arguments.name}, "nodes seal with it from now on");
}

Result<ExitCode> run_remove(const Arguments& arguments) {
  Connection::Arguments question{"KNIT", "KEYS", "REMOVE", arguments.name};
  if (arguments.all) question.emplace_back("FORCE");
  return change(arguments, question, "removed for ever; take it out of the key files too");
}

void add_changes(CLI::App& keys, Command& command) {
  Arguments& arguments = command.arguments;
  add_verb(keys, command, "list", "the keys of the cluster, by their fingerprints", run_list);
  CLI::App* add = add_verb(keys, command, "add", "let all nodes open with the keys of a key file", run_add);
  add->add_option("FILE", arguments.out, "a key file on this host, readable by knitd")->required();
  CLI::App* use = add_verb(keys, command, "use", "let all nodes seal with a key", run_use);
  use->add_option("FINGERPRINT", arguments.name, "of the key")->required();
  CLI::App* remove = add_verb(keys, command, "remove", "drop a key on all nodes, for ever", run_remove);
  remove->add_option("FINGERPRINT", arguments.name, "of the key")->required();
  remove->add_flag("--force", arguments.all,
                   "even if a node is away that may have no other key: it must then be given one by hand");
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
  add_changes(*keys, command);
}

}  // namespace knit
