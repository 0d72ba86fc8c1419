// Runs each file of CORPUS/NAME through the target NAME, without a fuzzer: fuzz_replay CORPUS
//
// Names each file before it runs it, so that the last line tells which one ended the program. A folder
// without a target and a target without inputs are errors.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#define FUZZ_TARGET(name, function) extern "C" int function(const std::uint8_t* data, std::size_t size);
#include "fuzz_targets.inc"
#undef FUZZ_TARGET

namespace {

using Target = int (*)(const std::uint8_t* data, std::size_t size);

const std::map<std::string, Target> targets{
#define FUZZ_TARGET(name, function) {#name, function},
#include "fuzz_targets.inc"
};

std::vector<std::filesystem::path> sorted_entries(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> entries;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

void replay(Target target, const std::filesystem::path& file) {
  std::printf("%s\n", file.c_str());
  std::fflush(stdout);
  std::ifstream in(file, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  const std::vector<std::uint8_t> input(bytes.begin(),
                                        bytes.end());  // Not a byte more: a sanitizer sees the end.
  target(input.data(), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_replay CORPUS\n");
    return 2;
  }
  const std::filesystem::path corpus = argv[1];
  for (const auto& folder : sorted_entries(corpus)) {
    if (targets.contains(folder.filename())) continue;
    std::fprintf(stderr, "%s: there is no such target\n", folder.c_str());
    return 1;
  }
  for (const auto& [name, target] : targets) {
    const auto files = sorted_entries(corpus / name);
    if (files.empty()) {
      std::fprintf(stderr, "%s: no input\n", name.c_str());
      return 1;
    }
    for (const auto& file : files) replay(target, file);
  }
  return 0;
}
