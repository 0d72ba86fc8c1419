// A non-owning reference to something callable: two words, no allocation. Only as a parameter.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace knit {

template <class Signature>
class FunctionRef;

template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> && std::is_invocable_r_v<R, F&, Args...>)
  FunctionRef(F&& callee)  // NOLINT(google-explicit-constructor): passing a lambda is its purpose.
      : callee_(const_cast<void*>(static_cast<const void*>(std::addressof(callee)))),
        call_([](void* c, Args... args) -> R {
          return (*static_cast<std::add_pointer_t<std::remove_reference_t<F>>>(c))(
              std::forward<Args>(args)...);
        }) {}

  R operator()(Args... args) const { return call_(callee_, std::forward<Args>(args)...); }

 private:
  void* callee_;
  R (*call_)(void*, Args...);
};

}  // namespace knit
