// Who is told of links between nodes, and decides about them: a node, or one that wants to become one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "node/node.h"

namespace knit {

// All calls come from the loop thread. What comes out is carried out by whoever called.
class LinkOwner {
 public:
  virtual ~LinkOwner() = default;

  virtual void on_link_up(LinkId link, std::string dialed_address, Now now, Outbox& out) = 0;
  virtual void on_link_down(LinkId link, Now now, Outbox& out) = 0;
  virtual void on_progress(LinkId link, Now now) = 0;
  virtual void on_message(LinkId link, Channel channel, std::string_view message, Now now, Outbox& out) = 0;
  virtual bool wants_link(const std::string& address) const = 0;
  virtual JournalPosition synced() const = 0;  // What was seen up to here may leave.
};

class NodeLinks final : public LinkOwner {
 public:
  explicit NodeLinks(Node& node) : node_(node) {}

  void on_link_up(LinkId link, std::string dialed_address, Now now, Outbox& out) override {
    node_.on_link_up(link, std::move(dialed_address), now, out);
  }
  void on_link_down(LinkId link, Now now, Outbox& out) override { node_.on_link_down(link, now, out); }
  void on_progress(LinkId link, Now now) override { node_.on_progress(link, now); }
  void on_message(LinkId link, Channel channel, std::string_view message, Now now, Outbox& out) override {
    node_.on_message(link, channel, message, now, out);
  }
  bool wants_link(const std::string& address) const override { return node_.wants_link(address); }
  JournalPosition synced() const override { return node_.store().synced(); }

 private:
  Node& node_;
};

}  // namespace knit
