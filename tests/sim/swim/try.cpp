#include <cstdio>
#include <cstdlib>
#include "world.h"
using namespace knit; using namespace knit::swim_sim; using namespace std::chrono_literals;
int main(int argc,char**argv){
  size_t n=argc>1?atoi(argv[1]):50; uint64_t seed=argc>2?atoi(argv[2]):1;
  WorldOptions o; o.seed=seed; o.audit=n<=200;
  World w(o); Hosts all; for(size_t i=0;i<n;++i) all.push_back(w.add_host());
  w.start_known(all);
  w.run_until(20s); 
  uint64_t d0=0,b0=0,l0=0; for(auto h:all){d0+=w.host(h).datagrams;b0+=w.host(h).bytes;l0+=w.host(h).link_bytes;}
  w.run_for(20s);
  uint64_t d1=0,b1=0,l1=0; for(auto h:all){d1+=w.host(h).datagrams;b1+=w.host(h).bytes;l1+=w.host(h).link_bytes;}
  printf("rest: %.2f packets/s %.1f B/s link %.1f B/s false %zu equal %d\n",double(d1-d0)/20/n,double(b1-b0)/20/n,double(l1-l0)/20/n,w.false_failures(),w.all_lists_equal());
  Host v=n/2; auto t0=w.now(); w.crash(v);
  bool ok=w.run_until_true([&]{return w.all_know(v,MemberState::dead);},t0+60s);
  printf("crash known %d in %.2f s\n",ok,(w.now()-t0).count()/1e6);
  w.run_for(10s); t0=w.now(); w.start(v);
  ok=w.run_until_true([&]{return w.all_know_newest(v);},t0+60s);
  printf("restart known %d in %.2f s\n",ok,(w.now()-t0).count()/1e6);
  w.run_for(10s); t0=w.now(); w.set_tag(v,"zone","eu1");
  ok=w.run_until_true([&]{return w.all_know_newest(v);},t0+60s);
  printf("tag known %d in %.2f s\n",ok,(w.now()-t0).count()/1e6);
  w.run_for(10s); t0=w.now(); w.leave(v);
  ok=w.run_until_true([&]{return w.all_know(v,MemberState::left);},t0+60s);
  printf("leave known %d in %.2f s\n",ok,(w.now()-t0).count()/1e6);
  Host x=w.add_host(); t0=w.now(); w.start(x);
  ok=w.run_until_true([&]{return w.all_know_newest(x)&&w.all_know_each_other();},t0+60s);
  printf("join known %d in %.2f s\n",ok,(w.now()-t0).count()/1e6);
  printf("false %zu events %llu trace %llx violation %s\n",w.false_failures(),(unsigned long long)w.events(),(unsigned long long)w.trace_hash(),w.violation()?w.violation()->c_str():"none");
  if(argc>3) return 0;
  WorldOptions o2; o2.seed=seed; o2.audit=n<=200; World j(o2); all.clear(); for(size_t i=0;i<n;++i) all.push_back(j.add_host());
  for(auto h:all) j.start(h);
  ok=j.run_until_true([&]{return j.all_know_each_other();},60s);
  uint64_t db=0,lb=0; for(auto h:all){db+=j.host(h).bytes;lb+=j.host(h).link_bytes;}
  printf("join all %d in %.2f s datagram MB %.2f link MB %.2f events %llu\n",ok,j.now().count()/1e6,db/1e6,lb/1e6,(unsigned long long)j.events());
}
