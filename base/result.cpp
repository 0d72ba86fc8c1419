#include "base/result.h"

namespace knit {

std::string_view name(ErrorCode code) {
  switch (code) {
    case ErrorCode::bad_input: return "bad input";
    case ErrorCode::not_found: return "not found";
    case ErrorCode::conflict: return "conflict";
    case ErrorCode::refused: return "refused";
    case ErrorCode::disk_full: return "disk full";
    case ErrorCode::corrupt: return "corrupt";
    case ErrorCode::io: return "input/output error";
    case ErrorCode::wrong_format: return "wrong format";
  }
  return "unknown error";
}

}  // namespace knit
