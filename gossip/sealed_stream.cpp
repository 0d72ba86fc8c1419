#include "gossip/sealed_stream.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace knit {

namespace {

constexpr std::string_view key_context = "knit stream 1";

static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == record_tag_bytes);
static_assert(KeyRing::keys_max == Prelude::keys_max);

using Nonce = std::array<unsigned char, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES>;

Nonce nonce_of(std::uint64_t record) {
  Nonce nonce{};
  for (std::size_t i = 0; i < sizeof record; ++i) {
    nonce[nonce.size() - 1 - i] = static_cast<unsigned char>(record >> (8 * i));
  }
  return nonce;
}

unsigned char* bytes_at(std::string& text, std::size_t at) {
  return reinterpret_cast<unsigned char*>(text.data() + at);
}

}  // namespace

SealedStream::SealedStream(SealedStreamOptions options, const KeyRing* ring) : options_(options) {
  prelude_.versions = options.versions;
  prelude_.random.resize(Prelude::random_bytes);
  randombytes_buf(prelude_.random.data(), prelude_.random.size());
  if (ring != nullptr) {
    prelude_.encrypted = true;
    prelude_.keys = ring->fingerprints();
    ring_ = ring->keys();
  }
  output_ = encode(prelude_);
}

std::string SealedStream::take_output() { return std::exchange(output_, {}); }

void SealedStream::feed(std::string_view bytes) {
  input_.erase(0, std::exchange(read_, 0));
  input_.append(bytes);
}

Result<std::optional<std::string_view>> SealedStream::next() {
  if (failed_) return tl::unexpected(*failed_);
  auto found = advance();
  if (!found) failed_ = found.error();
  return found;
}

Result<std::optional<std::string_view>> SealedStream::advance() {
  if (phase_ == Phase::prelude) {
    if (auto met = read_prelude(); !met) return tl::unexpected(met.error());
    if (phase_ == Phase::prelude) return std::nullopt;
  }
  if (!inbound_) {
    const std::size_t from = std::exchange(read_, input_.size());
    if (from == input_.size()) return std::nullopt;
    return std::string_view(input_).substr(from);
  }
  auto record = read_record();
  if (!record || !*record || phase_ == Phase::open) return record;
  phase_ = Phase::open;  // That was the confirmation.
  return read_record();
}

Result<void> SealedStream::read_prelude() {
  const auto other = decode_prelude(std::string_view(input_).substr(read_));
  if (!other) return tl::unexpected(other.error());
  if (!*other) return {};
  const auto agreed = agree(prelude_, **other, options_.dialed);
  if (!agreed) return tl::unexpected(agreed.error());
  agreement_ = *agreed;
  const std::string theirs = input_.substr(read_, (*other)->encoded_bytes());
  read_ += theirs.size();
  phase_ = agreement_.key ? Phase::confirmation : Phase::open;
  if (agreement_.key) {
    derive_keys(theirs);
    append_record({}, output_);
  }
  return {};
}

void SealedStream::derive_keys(const std::string& other) {
  const auto agreed = std::find_if(
      ring_.begin(), ring_.end(), [&](const SecretKey& key) { return key.fingerprint() == *agreement_.key; });
  check(agreed != ring_.end(), "the key that was agreed upon is one of ours");
  const std::string own = encode(prelude_);
  const std::string both = options_.dialed ? own + other : other + own;
  const auto direction = [&](bool from_dialer) {
    return Direction{agreed->derive(std::string(key_context) + (from_dialer ? 'd' : 'a') + both)};
  };
  outbound_ = direction(options_.dialed);
  inbound_ = direction(!options_.dialed);
  ring_.clear();
}

// Decrypted where it lies.
Result<std::optional<std::string_view>> SealedStream::read_record() {
  const auto bad = [](const char* what) { return fail(ErrorCode::bad_input, what); };
  const std::string_view rest = std::string_view(input_).substr(read_);
  if (rest.size() < record_header_bytes) return std::nullopt;
  const std::size_t length = ByteReader(rest).u16();
  if (length > record_plaintext_bytes_max) return bad("it sent a record longer than 32 KiB");
  const bool confirmation = inbound_->records == 0;
  if (confirmation && length > 0) return bad("it does not show that it has the key");
  if (!confirmation && length == 0) return bad("it sent an empty record");
  if (inbound_->records >= stream_records_max) return bad("it sent too many records");
  const std::size_t body_bytes = length + record_tag_bytes;
  if (rest.size() < record_header_bytes + body_bytes) return std::nullopt;

  unsigned char* body = bytes_at(input_, read_ + record_header_bytes);
  const Nonce nonce = nonce_of(inbound_->records);
  const int opened = crypto_aead_xchacha20poly1305_ietf_decrypt(body, nullptr, nullptr, body, body_bytes,
                                                                bytes_at(input_, read_), record_header_bytes,
                                                                nonce.data(), inbound_->key.data());
  if (opened != 0 && confirmation) {
    return bad("it does not have the key that it names, or its bytes were changed on the way");
  }
  if (opened != 0) return bad("it sent a forged record, or its bytes were changed on the way");
  ++inbound_->records;
  const std::size_t plaintext_at = read_ + record_header_bytes;
  read_ = plaintext_at + body_bytes;
  return std::string_view(input_).substr(plaintext_at, length);
}

void SealedStream::seal(std::string_view plaintext, std::string& out) {
  check(established(), "nothing is said before the other side has shown that it has the key");
  if (!outbound_) {
    out.append(plaintext);
    return;
  }
  const std::size_t records = plaintext.size() / record_plaintext_bytes_max + 1;
  out.reserve(out.size() + plaintext.size() + records * (record_header_bytes + record_tag_bytes));
  while (!plaintext.empty()) {
    append_record(plaintext.substr(0, record_plaintext_bytes_max), out);
    plaintext.remove_prefix(std::min(plaintext.size(), record_plaintext_bytes_max));
  }
}

void SealedStream::append_record(std::string_view plaintext, std::string& out) {
  check(outbound_->records < stream_records_max, "a connection ends long before its nonces do");
  const std::size_t header_at = out.size();
  ByteWriter(out).u16(static_cast<std::uint16_t>(plaintext.size()));
  out.resize(out.size() + plaintext.size() + record_tag_bytes);
  const Nonce nonce = nonce_of(outbound_->records++);
  crypto_aead_xchacha20poly1305_ietf_encrypt(bytes_at(out, header_at + record_header_bytes), nullptr,
                                             reinterpret_cast<const unsigned char*>(plaintext.data()),
                                             plaintext.size(), bytes_at(out, header_at), record_header_bytes,
                                             nullptr, nonce.data(), outbound_->key.data());
}

}  // namespace knit
