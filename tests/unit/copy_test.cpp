// A data directory in another place than where it was written.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "store/lmdb/place.h"
#include "store/restored.h"
#include "tests/unit/temporary_directory.h"
#include "unit/host.h"

using namespace knit;
using test::Host;

TEST_CASE("data in another place are a copy, for as long as they name their first owner") {
  Host host(1);
  host.options.place = 7;
  host.open();  // Data from before places were kept.
  CHECK_FALSE(host.store->is_copy());
  host.commit();
  host.open();
  CHECK_FALSE(host.store->is_copy());
  host.options.place = 0;  // It cannot be told.
  host.open();
  CHECK_FALSE(host.store->is_copy());
  host.options.place = 8;
  host.open();
  CHECK(host.store->is_copy());
  host.commit();
  host.open();
  CHECK(host.store->is_copy());
  std::string& record = host.disk.of(Table::meta).at(std::string(identity_record));
  record = *with_identity(record, {{5}, {50}}, host.options.place);
  host.options.place = 9;  // Before it was opened there.
  host.open();
  CHECK(host.store->is_copy());
  host.options.place = 8;
  host.open();
  CHECK_FALSE(host.store->is_copy());
  CHECK(host.store->identity().node == NodeId{5});
}

TEST_CASE("a file that was renamed lies where it lay, a copy of it does not") {
  const TemporaryDirectory directory;
  const std::string file = directory.file("file");
  const std::string other = directory.file("other");
  CHECK(place_of(file) == 0);
  std::ofstream(file) << "data";
  const std::uint64_t place = place_of(file);
  CHECK(place != 0);
  std::filesystem::copy_file(file, other);
  CHECK(place_of(other) != place);
  std::filesystem::rename(file, other);
  CHECK(place_of(other) == place);
}
