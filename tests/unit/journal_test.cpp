// The journal in files: what comes back after an end of any kind.
#include <dirent.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store/journal_frame.h"
#include "store/lmdb/file_journal.h"
#include "temporary_directory.h"

using namespace knit;

namespace {

constexpr NodeId owner{7};

struct Waking {
  std::mutex mutex;
  std::condition_variable changed;
  void wake() {
    {
      const std::lock_guard lock(mutex);
    }
    changed.notify_all();
  }
  template <class Condition>
  void until(Condition condition) {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, std::chrono::seconds(20), condition));
  }
};

// One life of a journal, and what its start found.
struct Life {
  explicit Life(const std::string& directory, FileJournalOptions options = {}, JournalPosition after = {}) {
    options.directory = directory;
    auto opened = FileJournal::open(options, [this] { waking.wake(); });
    REQUIRE(opened);
    journal = std::move(*opened);
    const auto replayed = journal->replay(owner, after, [this](const JournalRecord& record) {
      positions.push_back(record.position.value);
      rows.emplace_back(record.row);
      return Result<void>{};
    });
    REQUIRE(replayed);
    tail = *replayed;
    position = positions.empty() ? after.value : positions.back();
  }
  void append(std::string row) {
    const Dot dot{{1}, ++position};
    JournalRecord record;
    record.position = {position};
    record.row_key = "key";
    record.row = row;
    record.logged = true;
    record.dots = {&dot, 1};
    journal->append(record);
  }
  void sync() {
    journal->flush();
    waking.until([this] { return journal->synced().value >= position; });
  }
  void write(std::string row) {
    append(std::move(row));
    sync();
  }

  Waking waking;
  std::unique_ptr<FileJournal> journal;
  Journal::Tail tail{};
  std::vector<std::uint64_t> positions;
  std::vector<std::string> rows;
  std::uint64_t position = 0;
};

using Rows = std::vector<std::string>;

std::vector<std::string> files_in(const std::string& directory) {
  std::vector<std::string> names;
  DIR* opened = ::opendir(directory.c_str());
  while (const dirent* entry = ::readdir(opened)) {
    if (segment_generation(entry->d_name)) names.push_back(directory + "/" + entry->d_name);
  }
  ::closedir(opened);
  std::sort(names.begin(), names.end());
  return names;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// The file that holds `text`, and where.
std::pair<std::string, std::size_t> find_text(const std::string& directory, const std::string& text) {
  for (const std::string& path : files_in(directory)) {
    const std::size_t at = read_file(path).find(text);
    if (at != std::string::npos) return {path, at};
  }
  FAIL("no file holds " + text);
  return {};
}

void change(const std::string& path, std::size_t at, char by) {
  std::string bytes = read_file(path);
  bytes[at] = static_cast<char>(bytes[at] ^ by);
  write_file(path, bytes);
}

FileJournalOptions small_files() {
  FileJournalOptions options;
  options.segment_bytes = 8192;
  options.spare_segments_max = 2;
  return options;
}

}  // namespace

TEST_CASE("what was synced comes back in order, and the tail is whole", "[threads]") {
  const TemporaryDirectory directory;
  {
    Life life(directory.path());
    CHECK(life.tail == Journal::Tail::whole);
    CHECK(life.rows.empty());
    for (int i = 0; i < 3; ++i) life.write("row" + std::to_string(i));
  }
  const Life again(directory.path());
  CHECK(again.rows == Rows{"row0", "row1", "row2"});
  CHECK(again.positions == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(again.tail == Journal::Tail::whole);
  CHECK(again.journal->synced().value == 3);
}

TEST_CASE("what the ordered store holds is not replayed", "[threads]") {
  const TemporaryDirectory directory;
  {
    Life life(directory.path());
    for (int i = 0; i < 5; ++i) life.write(std::to_string(i));
  }
  const Life again(directory.path(), {}, {3});
  CHECK(again.rows == Rows{"3", "4"});
  CHECK(again.tail == Journal::Tail::whole);
}

TEST_CASE("a new life goes on where the ordered store has overtaken the journal", "[threads]") {
  const TemporaryDirectory directory;
  {
    Life(directory.path()).write("first");
  }
  {
    Life(directory.path(), {}, {10}).write("eleventh");
  }
  const Life again(directory.path(), {}, {10});
  CHECK(again.rows == Rows{"eleventh"});
  CHECK(again.tail == Journal::Tail::whole);
}

TEST_CASE("a record that is missing makes the tail uncertain", "[threads]") {
  const TemporaryDirectory directory;
  {
    Life(directory.path()).write("first");
  }
  {
    Life(directory.path(), {}, {10}).write("eleventh");
  }
  const Life again(directory.path(), {}, {5});
  CHECK(again.rows == Rows{"eleventh"});
  CHECK(again.tail == Journal::Tail::uncertain);
}

TEST_CASE("a flipped bit costs one record, makes the tail uncertain, and hides none behind it", "[threads]") {
  for (const int bit : {0, 3, 7}) {
    const TemporaryDirectory directory;
    {
      Life life(directory.path(), small_files());
      for (const char* row : {"aaaaaaaa", "bbbbbbbb", "cccccccc"}) life.write(row);
    }
    const auto [path, at] = find_text(directory.path(), "bbbbbbbb");
    change(path, at, static_cast<char>(1 << bit));
    const Life again(directory.path(), small_files());
    CHECK(again.rows == Rows{"aaaaaaaa", "cccccccc"});
    CHECK(again.tail == Journal::Tail::uncertain);
  }
}

TEST_CASE("damage in a file that the ordered store holds whole means nothing", "[threads]") {
  const TemporaryDirectory directory;
  {
    Life(directory.path()).write("aaaaaaaa");
  }
  {
    Life(directory.path(), {}, {1}).write("bbbbbbbb");
  }
  {
    const Life whole(directory.path());
    CHECK(whole.rows == Rows{"aaaaaaaa", "bbbbbbbb"});
    CHECK(whole.tail == Journal::Tail::whole);
  }
  const auto [path, at] = find_text(directory.path(), "aaaaaaaa");
  change(path, at, 1);
  {
    const Life needs_it(directory.path());
    CHECK(needs_it.tail == Journal::Tail::uncertain);
  }
  const Life again(directory.path(), {}, {1});
  CHECK(again.rows == Rows{"bbbbbbbb"});
  CHECK(again.tail == Journal::Tail::whole);
}

TEST_CASE("a file that lost its header is no file that was never used", "[threads]") {
  const TemporaryDirectory directory;
  {
    Life(directory.path()).write("aaaaaaaa");
  }
  const std::string path = find_text(directory.path(), "aaaaaaaa").first;
  write_file(path, std::string(4096, '\0') + read_file(path).substr(4096));
  CHECK(Life(directory.path()).tail == Journal::Tail::uncertain);
}

TEST_CASE("a flipped bit anywhere in a frame's header is noticed", "[threads]") {
  for (std::size_t back = 1; back <= journal_frame_header_bytes; ++back) {
    const TemporaryDirectory directory;
    {
      Life(directory.path(), small_files()).write("only");
    }
    const auto [path, at] = find_text(directory.path(), "only");
    const std::size_t frame = JournalSegment::header_block_bytes;
    REQUIRE(at > frame + journal_frame_header_bytes);
    change(path, frame + back - 1, 1);
    const Life again(directory.path(), small_files());
    CHECK(again.rows.empty());
    CHECK(again.tail == Journal::Tail::uncertain);
  }
}

TEST_CASE("a tail cut off anywhere is uncertain, but for one that ends a record", "[threads]") {
  const TemporaryDirectory directory;
  {
    Life life(directory.path(), small_files());
    life.write("first");
    life.write("second");
  }
  const auto [path, at] = find_text(directory.path(), "second");
  const std::string whole = read_file(path);
  for (std::size_t cut = at - 24; cut < at + 40; ++cut) {
    std::string torn = whole;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(cut), torn.end(), '\0');
    if (torn == whole) continue;
    write_file(path, torn);
    const Life again(directory.path(), small_files());
    CHECK(again.tail == Journal::Tail::uncertain);
    CHECK(again.rows.size() <= 2);
    for (const std::string& name : files_in(directory.path())) {
      if (name != path) std::remove(name.c_str());
    }
  }
}

TEST_CASE("a record longer than a file gets a file of its own size", "[threads]") {
  const TemporaryDirectory directory;
  const std::string large(50'000, 'x');
  {
    Life life(directory.path(), small_files());
    life.write("before");
    life.append("with it");
    life.append(large);
    life.append("after");
    life.sync();
  }
  const Life again(directory.path(), small_files());
  CHECK(again.rows == Rows{"before", "with it", large, "after"});
  CHECK(again.tail == Journal::Tail::whole);
}

TEST_CASE("files are used again once the ordered store holds them, and few are kept", "[threads]") {
  const TemporaryDirectory directory;
  Life life(directory.path(), small_files());
  for (int i = 0; i < 100; ++i) {
    life.write(std::string(1000, static_cast<char>('a' + i % 26)));
    life.journal->on_committed({life.position - 1});
  }
  CHECK(files_in(directory.path()).size() <= 5);
  life.journal.reset();
  const Life again(directory.path(), small_files(), {life.position - 1});
  CHECK(again.positions == std::vector<std::uint64_t>{100});
  CHECK(again.tail == Journal::Tail::whole);
}

TEST_CASE("what an earlier use of a file left there is never taken for a record", "[threads]") {
  const TemporaryDirectory directory;
  std::uint64_t position = 0;
  for (int life_number = 0; life_number < 6; ++life_number) {
    Life life(directory.path(), small_files(), {position});
    CHECK(life.rows.empty());
    CHECK(life.tail == Journal::Tail::whole);
    for (int i = 0; i < 20; ++i) life.write(std::string(700, 'r'));
    position = life.position;
    life.journal->on_committed({position});
  }
}

TEST_CASE("an end under async that was not clean leaves an uncertain tail", "[threads]") {
  const TemporaryDirectory directory;
  FileJournalOptions options;
  options.async = true;
  {
    Life life(directory.path(), options);
    life.write("committed");
    life.journal->on_committed({life.position});
  }
  {
    Life life(directory.path(), options, {1});
    CHECK(life.tail == Journal::Tail::whole);
    life.write("not committed");
  }
  CHECK(Life(directory.path(), options, {1}).tail == Journal::Tail::uncertain);
}

TEST_CASE("the journal of another node is refused", "[threads]") {
  const TemporaryDirectory directory;
  {
    Life(directory.path()).write("row");
  }
  FileJournalOptions options;
  options.directory = directory.path();
  const auto journal = FileJournal::open(options, [] {});
  REQUIRE(journal);
  const auto replayed = (*journal)->replay({8}, {}, [](const JournalRecord&) { return Result<void>{}; });
  REQUIRE(!replayed);
  CHECK(replayed.error().code == ErrorCode::refused);
}

TEST_CASE("a file that was about to be used holds nothing", "[threads]") {
  const TemporaryDirectory directory;
  {
    Life(directory.path()).write("row");
  }
  const std::string path = find_text(directory.path(), "row").first;
  write_file(directory.path() + "/" + segment_name(0xff), read_file(path));
  const Life again(directory.path());
  CHECK(again.rows == Rows{"row"});
  CHECK(again.tail == Journal::Tail::whole);
}

TEST_CASE("a record survives its frame with all that it may hold") {
  const std::vector<Dot> dots{{{3}, 9}, {{4}, 1}};
  const JournalRecord record{.position = {12},
                             .stamp = 99,
                             .row_key = "row key",
                             .row = std::string_view("a\0b", 3),
                             .row_unchanged = true,
                             .logged = true,
                             .dots = dots,
                             .clock = "clock",
                             .clock_change = ClockChange::replaced,
                             .meta_name = "name",
                             .meta_value = "value"};
  std::string frame;
  append_frame(frame, record);
  const std::size_t size = frame.size();
  CHECK(frame_bytes(frame) == size);
  CHECK(frame_position(frame) == JournalPosition{12});
  append_end_frame(frame);
  seal_frame(frame.data(), size, 5);
  seal_frame(frame.data() + size, frame.size() - size, 5);
  JournalFrames reader(frame, 5);
  DecodedRecord decoded;
  const auto payload = reader.next();
  REQUIRE(payload);
  REQUIRE(decode_payload(*payload, decoded));
  CHECK(decoded.record.stamp == 99);
  CHECK(decoded.record.row_unchanged);
  CHECK(decoded.record.logged);
  CHECK(decoded.record.row == record.row);
  CHECK(decoded.dots == dots);
  CHECK(decoded.record.clock_change == ClockChange::replaced);
  CHECK(decoded.record.meta_value == "value");
  CHECK(!reader.next());
  CHECK(!reader.damaged());
  JournalFrames other(frame, 6);
  CHECK(!other.next());
  CHECK(other.damaged());
}

TEST_CASE("a birth that was cut off leaves a journal that is nobody's", "[threads]") {
  const TemporaryDirectory directory;
  {
    const Life stillborn(directory.path());
  }
  FileJournalOptions options;
  options.directory = directory.path();
  const auto journal = FileJournal::open(options, [] {});
  REQUIRE(journal);
  const auto tail = (*journal)->replay({8}, {}, [](const JournalRecord&) { return Result<void>{}; });
  REQUIRE(tail);
  CHECK(*tail == Journal::Tail::whole);
}

TEST_CASE("under async clients are answered when the disk says that they are", "[threads]") {
  const TemporaryDirectory directory;
  FileJournalOptions options;
  options.async = true;
  Life life(directory.path(), options);
  life.waking.until([&] { return life.journal->answerable() > life.journal->synced(); });
  const auto files = files_in(directory.path());
  REQUIRE(!files.empty());
  const auto header = SegmentHeader::decode(read_file(files.front()));
  REQUIRE(header);
  CHECK(header->flags == SegmentHeader::async);
}

TEST_CASE("a start uses files again that the ordered store holds", "[threads]") {
  const TemporaryDirectory directory;
  std::uint64_t position = 0;
  std::size_t files = 0;
  for (int life_number = 0; life_number < 10; ++life_number) {
    Life life(directory.path(), small_files(), {position});
    life.journal->on_committed({position});
    life.write("row");
    position = life.position;
    files = files_in(directory.path()).size();
  }
  CHECK(files <= 5);
}
