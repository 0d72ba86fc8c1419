// A host with a store on a virtual disk, for tests of store and node.
#pragma once

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "node/keyspace.h"
#include "sim/virtual_disk.h"
#include "store/store.h"

namespace knit::test {

using sim::VirtualDisk;
using sim::VirtualJournal;

constexpr WallTime now{1'700'000'000'000};

inline StoreOptions options_for(std::uint64_t node) {
  StoreOptions options;
  options.cluster.name = "test";
  options.cluster.id = std::string(16, 'c');
  options.cluster.hash_keys.position[0] = 1;
  options.cluster.hash_keys.digest[0] = 2;
  options.fresh = {{node}, {node * 100}};
  options.disk_reserve_bytes = 1;
  return options;
}

// A host with one store; reopening it is a restart.
struct Host {
  explicit Host(std::uint64_t node) : options(options_for(node)) { open(); }

  void open() {
    store.reset();
    journal.crash(false);
    auto opened = Store::open(disk, journal, options);
    REQUIRE(opened);
    store = std::move(*opened);
    if (store->must_commit_first()) commit();
    keyspace.emplace(*store);
    work();
  }
  void work() {
    while (store->has_work()) REQUIRE(store->work(5, clock));
  }
  // Makes all durable, or undoes it if the journal is full.
  Store::CommitOutcome commit() {
    Store::CommitOutcome outcome = Store::CommitOutcome::committed;
    if (!journal.sync()) REQUIRE(store->undo_unsynced());
    while (outcome == Store::CommitOutcome::committed && store->start_commit()) {
      outcome = store->on_committed(disk.finish_commit());
    }
    return outcome;
  }
  void set(std::string_view key, std::string value, Expiry expiry = {}) {
    SetOptions set_options;
    set_options.expiry = expiry;
    REQUIRE(keyspace->set(key, std::move(value), set_options, now));
  }
  std::string get(std::string_view key, WallTime at = now) {
    const auto found = keyspace->get(key, at);
    REQUIRE(found);
    return *found ? std::string((*found)->value) : "(nil)";
  }
  // Takes all rows of another host, as an exchange would, but not its clock.
  void take_rows_of(Host& other, WallTime at = now) {
    std::vector<std::pair<std::string, std::string>> rows;
    REQUIRE(other.store->visit_rows(Range::all(), {}, [&](const RowView& row) {
      rows.emplace_back(row.row_key, row.body);
      return true;
    }));
    for (const auto& [row_key, body] : rows) REQUIRE(store->merge_row(row_key, body, at));
  }
  Uint128 root() const { return root_digest(store->tree(), store->clear(), store->hash_keys()); }
  bool proven() const {
    Store::Verification verification;
    while (verification.next) {
      if (!store->verify_step(verification, 3)) return false;
    }
    return verification.damaged_rows == 0 && verification.wrong_leaves == 0;
  }

  StoreOptions options;
  WallTime clock = now;  // While it works.
  VirtualDisk disk;
  VirtualJournal journal;
  std::unique_ptr<Store> store;
  std::optional<Keyspace> keyspace;
};

}  // namespace knit::test
