// What the fuzz targets share. A target is one function that takes any bytes, and check()s what must hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace knit::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return size == 0 ? std::string_view{} : std::string_view(reinterpret_cast<const char*>(data), size);
}

// All that is left. (What was read before may have been missing: a ByteReader then answers zeros.)
inline std::string_view rest_of(ByteReader& in) { return in.raw(in.left()); }

template <class T>
std::string encoded(const T& value) {
  std::string bytes;
  ByteWriter out(bytes);
  value.encode(out);
  return bytes;
}

constexpr std::size_t inflated_bytes_max = 256 << 10;

// Lets a short input reach limits that are long: the bytes ff N C stand for N * 256 times C.
inline std::string inflate(std::string_view input) {
  std::string out;
  while (!input.empty() && out.size() < inflated_bytes_max) {
    const std::size_t mark = std::min(input.find('\xff'), input.size());
    out.append(input.substr(0, mark));
    input.remove_prefix(mark);
    if (input.size() < 3) break;
    out.append(static_cast<unsigned char>(input[1]) * std::size_t{256}, input[2]);
    input.remove_prefix(3);
  }
  out.resize(std::min(out.size(), inflated_bytes_max));
  return out;
}

// How much of `stream` to feed at once: `least`, or more if it would take too long otherwise.
inline std::size_t piece_bytes(std::string_view stream, std::uint8_t least) {
  constexpr std::size_t pieces_max = 256;
  return 1 + least + stream.size() / pieces_max;
}

}  // namespace knit::fuzz
