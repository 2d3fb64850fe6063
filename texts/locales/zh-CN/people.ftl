### Who acts in the shop.

## kinds of actors

actor-guest = 访客
actor-customer = 顾客
actor-staff = 员工
actor-service = 服务
actor-system = 系统

## roles

role-warehouse = 仓库
role-finance = 财务
role-support = 客服
role-auditor = 审计员
role-ops = 运维
role-admin = 管理员
role-own = 自定义角色
