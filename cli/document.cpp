#include "cli/document.h"

#include <algorithm>
#include <iterator>

#include "base/bytes.h"

namespace knit {
namespace {

bool is_map_field(std::string_view name) {
  constexpr std::string_view names[] = {"mine", "theirs", "tags", "winner", "loser"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Json scalar(const Reply& reply) {
  if (const auto* number = std::get_if<std::int64_t>(&reply.value)) {
    return *number;
  }
  if (const auto* text = std::get_if<std::string>(&reply.value)) {
    return *text;
  }
  return nullptr;
}

bool is_list(const Reply& reply) { return std::holds_alternative<std::vector<Reply>>(reply.value); }

Json field_document(std::string_view name, const Reply& value) {
  if (!is_list(value)) {
    return scalar(value);
  }
  return is_map_field(name) ? map_document(value) : list_document(value);
}

const Json* find(const Json& map, std::string_view field) {
  if (!map.is_object()) {
    return nullptr;
  }
  const auto found = map.find(std::string(field));
  return found == map.end() ? nullptr : &*found;
}

bool is_utf8(const std::string& bytes) {
  try {
    static_cast<void>(Json(bytes).dump());
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

void make_printable(Json& node) {
  if (node.is_structured()) {
    for (Json& child : node) {
      make_printable(child);
    }
  } else if (node.is_string() && !is_utf8(node.get_ref<const std::string&>())) {
    node = Json{{"hex", to_hex(node.get_ref<const std::string&>())}};
  }
}

}  // namespace

Json map_document(const Reply& reply) {
  Json out = Json::object();
  if (!is_list(reply)) {
    return out;
  }
  const auto& items = std::get<std::vector<Reply>>(reply.value);
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    if (const auto* name = std::get_if<std::string>(&items[i].value)) {
      out[*name] = field_document(*name, items[i + 1]);
    }
  }
  return out;
}

Json list_document(const Reply& reply) {
  Json out = Json::array();
  if (!is_list(reply)) {
    return out;
  }
  for (const Reply& item : std::get<std::vector<Reply>>(reply.value)) {
    out.push_back(is_list(item) ? map_document(item) : scalar(item));
  }
  return out;
}

std::string text_of(const Json& map, std::string_view field) {
  const Json* found = find(map, field);
  return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t number_of(const Json& map, std::string_view field) {
  const Json* found = find(map, field);
  return found != nullptr && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

bool flag_of(const Json& map, std::string_view field) { return number_of(map, field) != 0; }

const Json& list_of(const Json& map, std::string_view field) {
  static const Json empty = Json::array();
  const Json* found = find(map, field);
  return found != nullptr && found->is_array() ? *found : empty;
}

std::string printed(Json document) {
  make_printable(document);
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace knit
