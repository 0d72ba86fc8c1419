#include "node/joiner.h"

#include <algorithm>

#include "store/cluster_key.h"

namespace knit {

namespace {

std::optional<ClusterIdentity> identity_of(const Welcome& welcome) {
  ClusterIdentity out{welcome.cluster_name, welcome.cluster_id, {}};
  HashKey& position = out.hash_keys.position;
  HashKey& digest = out.hash_keys.digest;
  const bool fits = is_cluster_name(out.name) && out.id.size() == cluster_id_bytes &&
                    welcome.position_key.size() == position.size() &&
                    welcome.digest_key.size() == digest.size();
  if (!fits) return std::nullopt;
  std::copy(welcome.position_key.begin(), welcome.position_key.end(), position.begin());
  std::copy(welcome.digest_key.begin(), welcome.digest_key.end(), digest.begin());
  return out;
}

}  // namespace

void Joiner::on_link_up(LinkId link, Outbox& out) const {
  JoinRequest request;
  request.name = name_;
  request.version = version_;
  out.push_back(Send{link, Channel::control, encode(request), {}});
}

// The node that was asked says hello first, which is nothing to us.
void Joiner::on_message(LinkId link, std::string_view bytes, Outbox& out) {
  const auto message = decode_message(bytes);
  if (!message) return out.push_back(CloseLink{link, message.error().message});
  if (std::holds_alternative<Hello>(*message)) return;
  if (std::holds_alternative<JoinRequest>(*message)) {
    return out.push_back(CloseLink{link, "it has no cluster either"});
  }
  const auto* welcome = std::get_if<Welcome>(&*message);
  if (welcome == nullptr) return out.push_back(CloseLink{link, "a message that no joining node expects"});
  if (!cluster_) cluster_ = identity_of(*welcome);
  out.push_back(CloseLink{link, cluster_ ? "joined" : "a welcome that cannot be understood"});
}

}  // namespace knit
