#include "gossip/datagram_seal.h"

#include <sodium.h>

#include <algorithm>
#include <type_traits>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

namespace knit {

namespace {

constexpr std::size_t cluster_id_bytes = 16;

static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == seal_tag_bytes);
static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == SecretKey::size_bytes);

unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Sender, generation and counter: never sent twice, so never used twice.
std::string nonce_of(NodeId sender, std::uint64_t generation, std::uint64_t counter) {
  std::string nonce;
  ByteWriter out(nonce);
  out.u64(sender.value);
  out.u64(generation);
  out.u64(counter);
  return nonce;
}

// A plaintext in the long form: padding, and the count of it, so that it may be answered with a challenge.
std::string padded(std::string_view plaintext) {
  std::string out(plaintext);
  const std::size_t size = std::max(plaintext.size() + 1, challenge_bytes);
  out.resize(size, '\0');
  out.back() = static_cast<char>(size - 1 - plaintext.size());
  return out;
}

bool unpad(std::string& plaintext) {
  if (plaintext.empty()) return false;
  const std::size_t padding = static_cast<unsigned char>(plaintext.back()) + std::size_t{1};
  if (padding > plaintext.size()) return false;
  plaintext.resize(plaintext.size() - padding);
  return true;
}

// Appends the tag as well.
void append_encrypted(std::string_view plaintext, std::string_view associated, const std::string& nonce,
                      const SecretKey& key, std::string& out) {
  const std::size_t before = out.size();
  out.resize(before + plaintext.size() + seal_tag_bytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(bytes_of(out) + before, nullptr, bytes_of(plaintext),
                                             plaintext.size(), bytes_of(associated), associated.size(),
                                             nullptr, bytes_of(nonce), key.data());
}

bool decrypt(std::string_view body, std::string_view associated, const std::string& nonce,
             const SecretKey& key, std::string& plaintext) {
  plaintext.resize(body.size() - seal_tag_bytes);
  return crypto_aead_xchacha20poly1305_ietf_decrypt(bytes_of(plaintext), nullptr, nullptr, bytes_of(body),
                                                    body.size(), bytes_of(associated), associated.size(),
                                                    bytes_of(nonce), key.data()) == 0;
}

std::uint64_t plain_checksum(std::string_view associated, const std::string& nonce, std::string_view body) {
  return checksum(body, checksum(std::string(associated) + nonce));
}

}  // namespace

std::string_view name(DropReason reason) {
  switch (reason) {
    case DropReason::malformed: return "malformed";
    case DropReason::other_mode: return "other_mode";
    case DropReason::foreign_cluster: return "foreign_cluster";
    case DropReason::reflected: return "reflected";
    case DropReason::unknown_key: return "unknown_key";
    case DropReason::forged: return "forged";
    case DropReason::unknown_version: return "unknown_version";
    case DropReason::unknown_sender: return "unknown_sender";
    case DropReason::unanswerable: return "unanswerable";
    case DropReason::old_generation: return "old_generation";
    case DropReason::replayed: return "replayed";
    case DropReason::stale_challenge: return "stale_challenge";
    case DropReason::counter_end: return "counter_end";
  }
  return "unknown";
}

// A datagram that was made by somebody who has a key of the ring.
struct DatagramSeal::Arrival {
  DatagramHeader header;
  std::string plaintext;
  std::size_t datagram_bytes{};
  std::string_view from;
  Millis now{};

  DatagramDropped dropped(DropReason reason) const { return {reason, header.sender, 0}; }
};

DatagramSeal::DatagramSeal(DatagramOptions options, const KeyRing* ring)
    : options_(std::move(options)),
      cluster_tag_(ByteReader(options_.cluster).u16()),
      next_counter_(options_.first_counter) {
  check(options_.cluster.size() == cluster_id_bytes, "a cluster's id has 16 bytes");
  check(options_.generation != 0, "a generation is not 0");
  check(options_.senders_max > 0, "at least one sender is remembered");
  if (ring == nullptr) return;
  keys_.emplace();
  set_keys(*ring);
}

void DatagramSeal::set_keys(const KeyRing& ring) {
  check(keys_.has_value(), "a keyless seal stays so");
  keys_->clear();
  for (const SecretKey& key : ring.keys()) {
    keys_->push_back({key.fingerprint(), key.derive("knit datagram 1" + options_.cluster)});
  }
}

DatagramSeal::Peer* DatagramSeal::find(NodeId node) {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return nullptr;
  found->second.used = ++uses_;
  return &found->second;
}

void DatagramSeal::remember(NodeId node, Peer peer) {
  peer.used = ++uses_;
  peers_.insert_or_assign(node, peer);
  if (peers_.size() <= options_.senders_max) return;
  peers_.erase(std::min_element(peers_.begin(), peers_.end(),
                                [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
}

// A short one is bound to whom it is for, so that nobody can give it to another node.
std::string DatagramSeal::associated_data(std::string_view header, DatagramForm form,
                                          Incarnation receiver) const {
  std::string out(header);
  ByteWriter writer(out);
  writer.raw(options_.cluster);
  if (form == DatagramForm::short_data) {
    writer.u8(options_.version);
    writer.u64(receiver.node.value);
    writer.u64(receiver.generation);
  }
  return out;
}

Result<std::string> DatagramSeal::seal(std::optional<NodeId> receiver, std::string_view plaintext) {
  check(plaintext.size() <= datagram_plaintext_bytes_max, "a datagram's plaintext is within its limit");
  Peer* peer = receiver ? find(*receiver) : nullptr;
  if (peer == nullptr) return seal_form(DatagramForm::data, {}, padded(plaintext));
  const Incarnation to{*receiver, peer->generation};
  const bool is_short = peer->knows_us && peer->unanswered < unanswered_max;
  if (is_short) ++peer->unanswered;
  return is_short ? seal_form(DatagramForm::short_data, to, plaintext)
                  : seal_form(DatagramForm::data, to, padded(plaintext));
}

Result<std::string> DatagramSeal::seal_form(DatagramForm form, Incarnation receiver,
                                            std::string_view plaintext) {
  if (next_counter_ > datagram_counter_max) {
    return fail(ErrorCode::refused, "this generation has no counter left: a higher generation is needed");
  }
  const DatagramHeader header{
      form,          keys_.has_value(),   keys_ ? keys_->front().fingerprint.value : 0,
      options_.node, next_counter_++,     options_.version,
      cluster_tag_,  options_.generation, receiver.generation};
  std::string out;
  out.reserve(long_header_bytes + plaintext.size() + seal_tag_bytes);
  encode(header, out);
  const std::string associated = associated_data(out, form, receiver);
  const std::string nonce = nonce_of(header.sender, header.generation, header.counter);
  if (keys_) {
    append_encrypted(plaintext, associated, nonce, keys_->front().secret, out);
  } else {
    out += plaintext;
    ByteWriter(out).u64(plain_checksum(associated, nonce, plaintext));
  }
  return out;
}

DatagramSeal::Plaintext DatagramSeal::unseal(const DatagramHeader& header, std::string_view datagram) const {
  const std::size_t tag_bytes = keys_ ? seal_tag_bytes : checksum_tag_bytes;
  const std::size_t in_front = header_bytes(header.form);
  if (datagram.size() < in_front + tag_bytes) return tl::unexpected(DropReason::malformed);
  const std::string associated =
      associated_data(datagram.substr(0, in_front), header.form, {options_.node, options_.generation});
  const std::string nonce = nonce_of(header.sender, header.generation, header.counter);
  const std::string_view body = datagram.substr(in_front);
  if (!keys_) {
    const std::string_view plaintext = body.substr(0, body.size() - tag_bytes);
    const std::uint64_t tag = ByteReader(body.substr(plaintext.size())).u64();
    if (tag != plain_checksum(associated, nonce, plaintext)) return tl::unexpected(DropReason::forged);
    return std::string(plaintext);
  }
  bool known = false;
  const std::uint32_t named = header.form == DatagramForm::short_data ? 0xff : 0xffffffff;
  for (const Key& key : *keys_) {
    if ((key.fingerprint.value & named) != header.key) continue;
    known = true;
    std::string plaintext;
    if (decrypt(body, associated, nonce, key.secret, plaintext)) return plaintext;
  }
  return tl::unexpected(known ? DropReason::forged : DropReason::unknown_key);
}

DatagramOutcome DatagramSeal::open(std::string_view datagram, std::string_view from, Millis now) {
  DatagramOutcome outcome = judge(datagram, from, now);
  count(outcome);
  return outcome;
}

DatagramOutcome DatagramSeal::judge(std::string_view datagram, std::string_view from, Millis now) {
  auto header = decode_datagram_header(datagram);
  if (!header) return DatagramDropped{DropReason::malformed, {}, 0};
  if (header->sealed != keys_.has_value()) return DatagramDropped{DropReason::other_mode, {}, 0};
  const bool is_short = header->form == DatagramForm::short_data;
  if (!is_short && header->cluster_tag != cluster_tag_)
    return DatagramDropped{DropReason::foreign_cluster, {}, 0};
  if (header->sender == options_.node) return DatagramDropped{DropReason::reflected, {}, 0};
  if (is_short) {
    const auto peer = peers_.find(header->sender);
    if (peer == peers_.end()) return DatagramDropped{DropReason::unknown_sender, {}, 0};
    header->generation = peer->second.generation;
    header->version = options_.version;  // It is bound to it.
  }
  auto plaintext = unseal(*header, datagram);
  if (!plaintext) return DatagramDropped{plaintext.error(), {}, 0};
  Arrival arrival{*header, std::move(*plaintext), datagram.size(), from, now};
  if (header->version != options_.version) {
    return DatagramDropped{DropReason::unknown_version, header->sender, header->version};
  }
  switch (header->form) {
    case DatagramForm::challenge: return on_challenge(arrival);
    case DatagramForm::response: return on_response(arrival);
    default: return on_data(arrival);
  }
}

DatagramOutcome DatagramSeal::on_data(Arrival& arrival) {
  const DatagramHeader& header = arrival.header;
  Peer* peer = find(header.sender);
  if (peer == nullptr || peer->generation < header.generation) return challenge(arrival);
  if (peer->generation > header.generation) return arrival.dropped(DropReason::old_generation);
  if (!peer->window.take(header.counter)) return arrival.dropped(DropReason::replayed);
  const bool is_short = header.form == DatagramForm::short_data;
  if (!is_short && !unpad(arrival.plaintext)) return arrival.dropped(DropReason::malformed);
  // A short one was bound to our generation, so its sender knows it; and that we know its own.
  peer->knows_us = is_short || header.receiver_generation == options_.generation;
  peer->unanswered = 0;
  return DatagramOpened{header.sender, header.generation, std::move(arrival.plaintext)};
}

DatagramOutcome DatagramSeal::challenge(const Arrival& arrival) {
  const std::size_t tag_bytes = keys_ ? seal_tag_bytes : checksum_tag_bytes;
  if (arrival.datagram_bytes < long_header_bytes + challenge_bytes + tag_bytes) {
    return arrival.dropped(DropReason::unanswerable);
  }
  const auto slot = static_cast<std::uint64_t>(arrival.now / challenge_slot);
  auto datagram = seal_form(DatagramForm::challenge, {arrival.header.sender, arrival.header.generation},
                            challenge_for(arrival, slot));
  if (!datagram) return arrival.dropped(DropReason::counter_end);
  return DatagramChallenge{std::move(*datagram)};
}

std::string DatagramSeal::challenge_for(const Arrival& arrival, std::uint64_t slot) const {
  std::string what;
  ByteWriter out(what);
  out.u64(arrival.header.sender.value);
  out.u64(arrival.header.generation);
  out.u64(slot);
  out.raw(arrival.from);
  return std::string(challenge_secret_.derive(what).bytes().substr(0, challenge_bytes));
}

DatagramOutcome DatagramSeal::on_challenge(const Arrival& arrival) {
  const DatagramHeader& header = arrival.header;
  if (arrival.plaintext.size() != challenge_bytes) return arrival.dropped(DropReason::malformed);
  if (header.receiver_generation != options_.generation) {
    return arrival.dropped(DropReason::stale_challenge);  // Meant for whom we were before.
  }
  if (Peer* peer = find(header.sender)) {
    if (header.generation < peer->generation) return arrival.dropped(DropReason::old_generation);
    if (header.generation == peer->generation && !peer->window.take(header.counter)) {
      return arrival.dropped(DropReason::replayed);
    }
    peer->knows_us = false;
  }
  // Who challenges need not be proven: an answer is no longer than a challenge, and tells nothing.
  auto datagram = seal_form(DatagramForm::response, {header.sender, header.generation}, arrival.plaintext);
  if (!datagram) return arrival.dropped(DropReason::counter_end);
  return DatagramResponse{header.sender, std::move(*datagram)};
}

DatagramOutcome DatagramSeal::on_response(const Arrival& arrival) {
  const DatagramHeader& header = arrival.header;
  if (arrival.plaintext.size() != challenge_bytes) return arrival.dropped(DropReason::malformed);
  if (const Peer* peer = find(header.sender)) {
    if (header.generation < peer->generation) return arrival.dropped(DropReason::old_generation);
    // Of several challenges the first answer sufficed.
    if (header.generation == peer->generation) return arrival.dropped(DropReason::stale_challenge);
  }
  const auto slot = static_cast<std::uint64_t>(arrival.now / challenge_slot);
  const auto answers = [&](std::uint64_t made) {
    return sodium_memcmp(challenge_for(arrival, made).data(), arrival.plaintext.data(), challenge_bytes) == 0;
  };
  if (!answers(slot) && !(slot > 0 && answers(slot - 1))) {
    return arrival.dropped(DropReason::stale_challenge);
  }
  // What was sent before it may be a recording.
  remember(header.sender, Peer{header.generation, ReplayWindow(header.counter)});
  return DatagramProven{header.sender};
}

void DatagramSeal::count(const DatagramOutcome& outcome) {
  const auto add = [this](const auto& what) -> std::uint64_t& {
    using What = std::decay_t<decltype(what)>;
    if constexpr (std::is_same_v<What, DatagramOpened>) return counts_.opened;
    if constexpr (std::is_same_v<What, DatagramChallenge>) return counts_.challenged;
    if constexpr (std::is_same_v<What, DatagramResponse>) return counts_.responded;
    if constexpr (std::is_same_v<What, DatagramProven>) return counts_.proven;
    if constexpr (std::is_same_v<What, DatagramDropped>) {
      return counts_.dropped[static_cast<std::size_t>(what.reason)];
    }
  };
  ++std::visit(add, outcome);
}

}  // namespace knit
